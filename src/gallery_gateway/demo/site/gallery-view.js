// A page of the gallery: projects as cards, and links to the other pages.
import { counterItems, fillBar, isPending } from './counters.js';
import { el, fromTemplate, setChildren } from './dom.js';
import { byline, count, counted } from './format.js';
import { galleryPage } from './operations.js';
import { makePicture } from './pictures.js';
import { addressOf } from './state.js';

const TILES = 5;

export const galleryView = {
  operation: galleryPage,
  find: (data) => withoutDamaged(data?.gallery ?? null),
  isEmpty: (gallery) => gallery.projects.length === 0,
  make: makeGallery,
};

// A damaged project is null.
const withoutDamaged = (gallery) =>
  gallery && { ...gallery, projects: gallery.projects.filter((project) => project !== null) };

function makeGallery(state) {
  const { root, parts } = fromTemplate('gallery-template');
  let cards = new Map();

  return {
    root,
    heading: root.querySelector('h1'),
    receipts: parts.receipts,
    title: () => 'Gallery',
    announcement: () => parts.summary.textContent,

    update({ pagination, projects }) {
      parts.summary.textContent = summary(pagination, state);
      setChildren(parts.pages, ...pageLinks(pagination, state));
      const known = cards;
      cards = new Map(projects.map(({ id }) => [id, known.get(id) ?? makeCard(state)]));
      projects.forEach((project) => cards.get(project.id).update(project));
      // Moved only if the order changed, because an element that is moved loses the focus.
      if ([...cards.keys()].join() !== [...known.keys()].join()) {
        parts.cards.replaceChildren(...[...cards.values()].map((card) => card.root));
      }
    },

    isPending: () => [...cards.values()].some((card) => card.isPending()),

    linkTo: (projectId) => root.querySelector(`[data-project="${projectId}"]`),
  };
}

function makeCard(state) {
  const { root, parts } = fromTemplate('card-template');
  const mosaic = root.querySelector('.mosaic');
  const tiles = Array.from({ length: TILES }, () => el('div', { className: 'frame' }));
  const pictures = tiles.map((tile) => makePicture(tile, { alt: '' }));
  let shown = null;

  return {
    root,
    isPending: () => isPending(shown),
    update(project) {
      shown = project;
      fillBar(parts.bar, project);
      parts.counters.replaceChildren(...counterItems(project));
      parts.name.textContent = project.projectName ?? `Project ${project.projectId}`;
      parts.name.href = addressOf({ ...state, project: project.projectId });
      parts.name.dataset.project = project.projectId;
      parts.byline.textContent = byline(project);
      showTiles(mosaic, tiles, project);
      picturesFirst(project.images).forEach(({ status, output }, place) =>
        pictures[place]({ status, url: output?.thumbnail }),
      );
    },
  };
}

const picturesFirst = (images) => images.toSorted((a, b) => (b.output !== null) - (a.output !== null));

function showTiles(mosaic, tiles, { images, totalImages }) {
  mosaic.dataset.tiles = images.length;
  if (mosaic.children.length === images.length && images.length > 0) return;
  const nothing = el('p', { className: 'empty' }, totalImages ? 'No matching images' : 'No images yet');
  mosaic.replaceChildren(...(images.length ? tiles.slice(0, images.length) : [nothing]));
}

function summary({ page, pages, total }, { perPage }) {
  const first = (page - 1) * perPage + 1;
  const last = Math.min(page * perPage, total);
  if (pages < 2) return counted(total, 'project');
  return `${count(first)}–${count(last)} of ${counted(total, 'project')}`;
}

function pageLinks({ page, pages, hasNext, hasPrev }, state) {
  if (pages < 2) return [];
  const link = (text, to, rel) => {
    const anchor = el('a', { className: 'button', rel, href: addressOf({ ...state, page: to }) }, text);
    anchor.dataset.go = '';
    return anchor;
  };
  const off = (text) => el('span', { className: 'button is-off' }, text);
  return [
    hasPrev ? link('Previous', page - 1, 'prev') : off('Previous'),
    el('span', { className: 'where' }, `Page ${count(page)} of ${count(pages)}`),
    hasNext ? link('Next', page + 1, 'next') : off('Next'),
  ];
}
