// Notices for errors and empty results, with advice for the user.
import { el, fromTemplate } from './dom.js';
import { counted } from './format.js';
import { addressOf, filtersCleared, isFiltered } from './state.js';

const AGAIN = 'Try again in a moment.';

// Title and advice by `extensions.code`; the page itself adds NO_ANSWER and NO_GRAPHQL.
const ADVICE = {
  BAD_USER_INPUT: ['This request is not valid', 'Clear the filters, or start over.'],
  UNAUTHENTICATED: ['This caller is not signed in', 'Choose another caller, or start over.'],
  FORBIDDEN: ['You have no access to this', 'Choose another caller.'],
  RATE_LIMITED: ['Too many requests', AGAIN],
  UPSTREAM_TIMEOUT: ['The gallery takes too long to respond', AGAIN],
  UPSTREAM_UNAVAILABLE: ['The gallery is not available', AGAIN],
  UPSTREAM_CONTRACT: ['The gallery sent an invalid response', 'Its version may not be supported.'],
  GRAPHQL_PARSE_FAILED: ['This page does not match the gateway', 'Reload the page.'],
  GRAPHQL_VALIDATION_FAILED: ['This page does not match the gateway', 'Reload the page.'],
  INTERNAL_SERVER_ERROR: ['The gateway failed', 'Its log has details under this request id.'],
  NO_ANSWER: ['The gateway does not answer', 'Check that the demo is still running.'],
  NO_GRAPHQL: ['The response is not from the gateway', 'Check for a proxy in between.'],
};

// A retry cannot succeed.
const FINAL = new Set(['BAD_USER_INPUT', 'UNAUTHENTICATED', 'FORBIDDEN']);

const DEFAULT_ADVICE = ['The request failed', AGAIN];

export function errorNotice({ code, message, retryAfter, requestId }, { onRetry }) {
  const [title, advice] = ADVICE[code] ?? DEFAULT_ADVICE;
  const wait = retryAfter ? `Try again in ${counted(retryAfter, 'second')}.` : advice;
  const again = el('button', { type: 'button', className: 'button', onclick: onRetry }, 'Try again');
  const notice = makeNotice({
    title,
    text: `${message ?? ''} ${wait}`,
    code: [code, requestId].filter(Boolean).join(' · '),
    actions: [FINAL.has(code) ? null : again, link('Start over', '.')].filter(Boolean),
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
      text: 'No project matches these filters.',
      actions: [link('Clear filters', addressOf({ ...state, ...filtersCleared() }))],
    });
  }
  return makeNotice({
    title: 'No projects yet',
    text: 'Projects appear here as soon as there are any.',
    actions: [],
  });
}

export function missingNotice(state, caller) {
  return makeNotice({
    title: `No project ${state.project}`,
    text: `It does not exist, or ${caller.name} has no access to it.`,
    actions: [link('All projects', addressOf({ ...state, project: null }))],
  });
}

// A placeholder in the shape of the cards that are being loaded.
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
  // The gateway's messages mark names with backticks.
  parts.text.append(...text.split('`').map((part, place) => (place % 2 ? el('code', {}, part) : part)));
  parts.code.textContent = code;
  parts.code.hidden = !code;
  parts.actions.replaceChildren(...actions);
  return root;
}
