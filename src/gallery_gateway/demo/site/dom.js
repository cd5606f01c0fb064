// Creates elements. Text is inserted as text: nothing from the graph is ever parsed as HTML.

const SVG = 'http://www.w3.org/2000/svg';

export function el(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

// Returns a copy of a template, and its parts by their `data-part`.
export function fromTemplate(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  const named = [...root.querySelectorAll('[data-part]')];
  return { root, parts: Object.fromEntries(named.map((part) => [part.dataset.part, part])) };
}

// Replaces the children of an element unless equal ones are there, because what is replaced loses the focus.
export function setChildren(element, ...children) {
  const present = element.childNodes;
  const isSame = (child, place) => child.isEqualNode(present[place]);
  if (present.length !== children.length || !children.every(isSame)) element.replaceChildren(...children);
}
