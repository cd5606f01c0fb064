// What to say where there is nothing to show, and what to do about it.
import { el, fromTemplate } from './dom.js';
import { counted } from './format.js';
import { addressOf, filtersCleared, isFiltered } from './state.js';

const AGAIN = 'Try again in a moment.';

// By `extensions.code`, and two of our own: NO_ANSWER and NO_GRAPHQL.
const ADVICE = {
  BAD_USER_INPUT: ['The gallery cannot be asked that', 'Clear the filters, or begin anew.'],
  UNAUTHENTICATED: ['The gallery does not know this caller', 'Look as somebody else, or begin anew.'],
  FORBIDDEN: ['This is not open to you', 'Look as somebody else.'],
  RATE_LIMITED: ['Too many questions at once', AGAIN],
  UPSTREAM_TIMEOUT: ['The gallery takes too long', AGAIN],
  UPSTREAM_UNAVAILABLE: ['The gallery is not there', AGAIN],
  UPSTREAM_CONTRACT: ['The gallery gave an answer that is none', 'Its version may be another.'],
  GRAPHQL_PARSE_FAILED: ['Page and gateway do not fit together', 'Reload the page.'],
  GRAPHQL_VALIDATION_FAILED: ['Page and gateway do not fit together', 'Reload the page.'],
  INTERNAL_SERVER_ERROR: ['Something is wrong in the gateway', 'Its log says more under this request.'],
  NO_ANSWER: ['The gateway does not answer', 'See whether the demo is still running.'],
  NO_GRAPHQL: ['Something else answered', 'See what stands between you and the gateway.'],
};

// What would be answered in the same way again.
const FINAL = new Set(['BAD_USER_INPUT', 'UNAUTHENTICATED', 'FORBIDDEN']);

const OTHERWISE = ['That did not work', AGAIN];

export function errorNotice({ code, message, retryAfter, requestId }, { onRetry }) {
  const [title, advice] = ADVICE[code] ?? OTHERWISE;
  const wait = retryAfter ? `Try again in ${counted(retryAfter, 'second')}.` : advice;
  const again = el('button', { type: 'button', className: 'button', onclick: onRetry }, 'Try again');
  const notice = makeNotice({
    title,
    text: `${message ?? ''} ${wait}`,
    code: [code, requestId].filter(Boolean).join(' · '),
    actions: [FINAL.has(code) ? null : again, link('Begin anew', '.')].filter(Boolean),
  });
  notice.classList.add('is-error');
  return notice;
}

export function emptyNotice(state, pagination) {
  if (pagination?.total > 0) {
    return makeNotice({
      title: `There is no page ${state.page}`,
      text: `The last one is page ${pagination.pages}.`,
      actions: [link('Go to the last page', addressOf({ ...state, page: pagination.pages }))],
    });
  }
  if (isFiltered(state)) {
    return makeNotice({
      title: 'Nothing matches',
      text: 'No project is like that. Fewer filters find more.',
      actions: [link('Clear filters', addressOf({ ...state, ...filtersCleared() }))],
    });
  }
  return makeNotice({
    title: 'No projects yet',
    text: 'As soon as there is one, it is shown here.',
    actions: [],
  });
}

export function missingNotice(state, caller) {
  return makeNotice({
    title: `No project ${state.project}`,
    text: `There is none of this number that ${caller.name} may see.`,
    actions: [link('All projects', addressOf({ ...state, project: null }))],
  });
}

// Stands in the place of what is awaited, in the shape of it.
export function placeholder() {
  const card = () => el('li', { className: 'card is-placeholder' }, el('div', { className: 'mosaic' }));
  return el('ul', { className: 'cards', ariaHidden: 'true' }, ...Array.from({ length: 6 }, card));
}

function link(text, href) {
  const anchor = el('a', { className: 'button', href }, text);
  anchor.dataset.go = '';
  return anchor;
}

function makeNotice({ title, text, code = '', actions }) {
  const { root, parts } = fromTemplate('notice-template');
  parts.title.textContent = title;
  // The gateway puts names between backticks.
  parts.text.append(...text.split('`').map((part, place) => (place % 2 ? el('code', {}, part) : part)));
  parts.code.textContent = code;
  parts.code.hidden = !code;
  parts.actions.replaceChildren(...actions);
  return root;
}
