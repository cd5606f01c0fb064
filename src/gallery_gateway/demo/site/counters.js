// The progress of a project, as a bar and as text.
import { el } from './dom.js';
import { count, counted } from './format.js';

export const isPending = ({ pendingImages }) => pendingImages > 0;

export function fillBar(bar, project) {
  const { totalImages = 0, completedImages = 0, failedImages = 0 } = project;
  const share = (number) => String(totalImages ? number / totalImages : 0);
  // Set as properties, because the page's policy allows no style attributes.
  bar.style.setProperty('--completed', share(completedImages));
  bar.style.setProperty('--failed', share(failedImages));
  bar.classList.toggle('is-pending', isPending(project));
}

export function counterItems({ totalImages, completedImages, failedImages, pendingImages }) {
  if (!totalImages) return [el('li', {}, 'No images yet')];
  return [
    el('li', {}, counted(totalImages, 'image')),
    pendingImages > 0 && el('li', {}, `${count(completedImages)} done`),
    failedImages > 0 && el('li', { className: 'is-failed' }, `${count(failedImages)} failed`),
    pendingImages > 0 && el('li', { className: 'is-pending' }, `${count(pendingImages)} to come`),
  ].filter(Boolean);
}

export function numberItems({ totalImages, completedImages, failedImages, pendingImages }) {
  const number = (term, value, className) =>
    el('div', { className: value ? className : 'is-none' }, el('dt', {}, term), el('dd', {}, count(value)));
  return [
    number('Images', totalImages, ''),
    number('Completed', completedImages, ''),
    number('Failed', failedImages, 'is-failed'),
    number('To come', pendingImages, 'is-pending'),
  ];
}
