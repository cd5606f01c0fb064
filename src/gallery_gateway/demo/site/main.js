// Shows the view for the page's address, and changes the address when the user navigates.
import { showFilters, startFilters } from './filters.js';
import { placeholder } from './notices.js';
import { EXPIRED } from './pictures.js';
import { addressOf, DEFAULTS, parseState } from './state.js';
import { Visit } from './visit.js';

const place = document.getElementById('view');
const status = document.getElementById('status');
const home = document.getElementById('home');

let state = parseState(location.search);
let visit = null;
let wasTyping = false;

function go(to, { isReplaced = false, focus = null } = {}) {
  const address = addressOf(to);
  const isOther = address !== addressOf(state);
  state = to;
  if (isReplaced) history.replaceState(null, '', address);
  else if (isOther) history.pushState(null, '', address);
  show(focus);
}

// `focus` is null to leave the focus alone, 'heading' for a new view, or the number of the project that the
// user returns from.
async function show(focus) {
  visit?.end();
  const present = (visit = new Visit(state, place));
  showFilters(state);
  home.href = addressOf({ ...DEFAULTS, as: state.as });
  place.ariaBusy = 'true';
  status.textContent = 'Loading';
  await quietly(async () => {
    await present.start({
      onRetry: () => go(state),
      onDone: () => (status.textContent = 'All images are done'),
    });
    place.ariaBusy = 'false';
    document.title = present.title;
    status.textContent = present.announcement;
    moveFocus(present, focus);
  });
}

function moveFocus(present, focus) {
  if (focus === null) return;
  const target = present.linkTo(focus) ?? present.heading;
  const isAtTop = target === present.heading;
  if (isAtTop) window.scrollTo(0, 0);
  target.focus({ preventScroll: isAtTop });
}

// A visit that ends during a request is aborted, which is no error.
async function quietly(work) {
  try {
    await work();
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
  }
}

function followLink(event) {
  const link = event.target.closest('a[data-go]');
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain) return;
  event.preventDefault();
  const to = parseState(new URL(link.href).search);
  const isKept = link.dataset.go === 'here';
  go(to, { focus: isKept ? null : focusAfter(state, to) });
}

function followHistory() {
  const before = state;
  const to = parseState(location.search);
  // A link to a fragment of the page does not change the view.
  if (addressOf(to) === addressOf(before)) return;
  state = to;
  show(focusAfter(before, to));
}

const focusAfter = (before, after) => (after.project === null && before.project) || 'heading';

startFilters((changes, { isTyping }) => {
  const isReplaced = isTyping && wasTyping;
  wasTyping = isTyping;
  go({ ...state, ...changes }, { isReplaced });
});
document.addEventListener('click', followLink);
window.addEventListener('popstate', followHistory);
place.addEventListener(EXPIRED, () => quietly(() => visit.refreshPictures()));
// The page restores the position by focus, because its height is known too late for the browser to do it.
history.scrollRestoration = 'manual';
place.replaceChildren(placeholder());
show(null);
