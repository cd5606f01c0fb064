// One project: its numbers, and its images with their feedback.
import { fillBar, isPending, numberItems } from './counters.js';
import { el, fromTemplate, icon, setChildren } from './dom.js';
import { byline, counted } from './format.js';
import { oneProject } from './operations.js';
import { makePicture } from './pictures.js';
import { addressOf } from './state.js';

// The graph's maximum for one project, and the number of images that "Show more" adds.
const MAX_IMAGES = 200;
const MORE_IMAGES = 24;

export const projectView = {
  operation: oneProject,
  find: (data) => data?.project ?? null,
  isEmpty: () => false,
  make: makeProject,
};

function makeProject(state) {
  const { root, parts } = fromTemplate('project-template');
  let images = new Map();
  let shown = null;

  parts.back.href = addressOf({ ...state, project: null, images: 24 });
  return {
    root,
    heading: parts.name,
    receipts: parts.receipts,
    title: () => `${parts.name.textContent} · Gallery`,
    announcement: () => `${parts.name.textContent}, ${counted(images.size, 'image')} shown`,

    update(project) {
      shown = project;
      fillBar(parts.bar, project);
      parts.numbers.replaceChildren(...numberItems(project));
      parts.name.textContent = project.projectName ?? `Project ${project.projectId}`;
      parts.byline.textContent = [byline(project), `no. ${project.projectId}`].join(' · ');
      const known = images;
      images = new Map(project.images.map(({ id }) => [id, known.get(id) ?? makeImage()]));
      project.images.forEach((image) => images.get(image.id).update(image));
      if ([...images.keys()].join() !== [...known.keys()].join() || images.size === 0) {
        parts.images.replaceChildren(...[...images.values()].map((image) => image.root));
      }
      setChildren(parts.more, ...moreLink(images.size, state));
    },

    isPending: () => isPending(shown),
    linkTo: () => null,
  };
}

function moreLink(number, state) {
  if (number === 0) return [el('span', { className: 'quiet' }, 'No images.')];
  if (number < state.images || number >= MAX_IMAGES) return [];
  const images = Math.min(state.images + MORE_IMAGES, MAX_IMAGES);
  const anchor = el('a', { className: 'button', href: addressOf({ ...state, images }) }, 'Show more images');
  anchor.dataset.go = 'here';
  return [anchor];
}

function makeImage() {
  const { root, parts } = fromTemplate('image-template');
  let updatePicture = null;
  let updateSources = [];

  return {
    root,
    update(image) {
      const name = image.originalFilename ?? 'unnamed file';
      updatePicture ??= makePicture(root.querySelector('.frame'), { alt: `Generated from ${name}` });
      updatePicture({ status: image.status, url: image.output?.fullSize });
      if (updateSources.length !== image.inputs.length) {
        updateSources = image.inputs.map((_, place) => makeSource(`Source ${place + 1} of ${name}`));
        parts.sources.replaceChildren(...updateSources.map((source) => source.root));
      }
      image.inputs.forEach((input, place) => updateSources[place].update(input));
      parts.file.textContent = name;
      parts.facts.replaceChildren(...facts(image));
      setText(parts.failure, image.errorMessage);
      setText(parts.comment, image.feedbackComment);
    },
  };
}

// A thumbnail of a source picture that links to its full size.
function makeSource(alt) {
  const frame = el('span', { className: 'frame' });
  const root = el('a', { target: '_blank', rel: 'noopener noreferrer' }, frame);
  const update = makePicture(frame, { alt });
  return {
    root,
    update({ fullSize, thumbnail }) {
      root.href = fullSize ?? thumbnail ?? '';
      update({ url: thumbnail ?? fullSize, status: 'no picture' });
    },
  };
}

function setText(element, text) {
  element.textContent = text ?? '';
  element.hidden = !text;
}

const FEEDBACK_WORDS = { like: 'liked', dislike: 'disliked' };

function facts({ status, qualityScore, feedback, reviewStatus }) {
  const word = FEEDBACK_WORDS[feedback] ?? feedback;
  const isDrawn = feedback in FEEDBACK_WORDS;
  return [
    el('span', { className: `status is-${status}` }, status ?? 'no status'),
    qualityScore !== null && el('span', {}, `quality ${qualityScore.toFixed(2)}`),
    feedback && el('span', { className: `is-${feedback}` }, isDrawn ? icon(feedback) : null, word),
    reviewStatus && el('span', {}, reviewStatus.replaceAll('_', ' ')),
  ].filter(Boolean);
}
