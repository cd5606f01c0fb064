// The filter form and the caller switch: they show the state and report changes to it.
import { el } from './dom.js';
import { callerOf, callers, explorer } from './gateway.js';
import { filtersCleared, isFiltered } from './state.js';

const TYPING_PAUSE_MILLISECONDS = 300;

const form = document.getElementById('filters');
const callerSwitch = document.getElementById('callers');
const clear = document.getElementById('clear');
const more = document.getElementById('more');

// Calls onChange(changes, {isTyping}) with the parts of the state that differ.
export function startFilters(onChange) {
  makeCallers(onChange);
  makeExplorerLink();
  let pause = 0;
  const report = (isTyping) => {
    clearTimeout(pause);
    onChange({ ...formState(), page: 1 }, { isTyping });
  };
  form.elements.search.addEventListener('input', () => {
    clearTimeout(pause);
    pause = setTimeout(() => report(true), TYPING_PAUSE_MILLISECONDS);
  });
  form.addEventListener('change', ({ target }) => target !== form.elements.search && report(false));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    report(false);
  });
  form.addEventListener('reset', (event) => {
    event.preventDefault();
    clearTimeout(pause);
    onChange(filtersCleared(), { isTyping: false });
    form.elements.status.focus();
  });
  more.addEventListener('click', () => {
    more.ariaExpanded = more.ariaExpanded === 'true' ? 'false' : 'true';
  });
}

export function showFilters(state) {
  const { search, status, order, sortBy, perPage, ownership } = form.elements;
  // An equal text is left alone, because setting it moves the cursor.
  if (search.value.trim() !== state.search.trim()) search.value = state.search;
  choose(status, state.status);
  order.value = state.order;
  sortBy.value = state.sortBy;
  choose(perPage, String(state.perPage));
  ownership.value = state.ownership;
  feedbackBoxes().forEach((box) => (box.checked = state.feedback.includes(box.value)));
  callerSwitch.querySelectorAll('input').forEach((box) => (box.checked = box.value === callerOf(state).name));
  clear.hidden = !isFiltered(state);
  more.classList.toggle('is-on', isFiltered({ ...state, search: '' }));
  form.querySelectorAll('[data-only]').forEach((part) => (part.hidden = state.project !== null));
}

// A value that only the address has becomes a choice.
function choose(select, value) {
  select.value = value;
  if (select.selectedIndex >= 0) return;
  select.append(el('option', { value }, value));
  select.value = value;
}

const feedbackBoxes = () => [...form.querySelectorAll('[name=feedback]')];

function formState() {
  const { search, status, order, sortBy, perPage, ownership } = form.elements;
  return {
    search: search.value,
    status: status.value,
    order: order.value,
    sortBy: sortBy.value,
    perPage: Number(perPage.value) || 12,
    ownership: ownership.value,
    feedback: feedbackBoxes().filter(({ checked }) => checked).map(({ value }) => value),
  };
}

function makeCallers(onChange) {
  const choices = callers.map(({ name }) => {
    const input = el('input', { type: 'radio', name: 'as', value: name });
    input.addEventListener('change', () => onChange({ as: name, page: 1 }, { isTyping: false }));
    return el('label', {}, input, el('span', {}, name));
  });
  callerSwitch.append(...choices);
}

function makeExplorerLink() {
  const link = document.getElementById('explorer');
  link.hidden = explorer === null;
  link.href = explorer ?? '';
}
