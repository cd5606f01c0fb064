// Which tabs are open when the page starts: those of the last visit, or else the examples.
//
// They are written to the storage before GraphiQL reads it. Its own `defaultTabs` loses the first tab's
// variables, and opens one more untitled tab at each reload of a page that was only looked at.
const TAB_STATE = 'graphiql:tabState';
const QUERY = 'graphiql:query';
const VARIABLES = 'graphiql:variables';

const asTab = ({ title, query, variables }) => ({
  id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
  title,
  query,
  variables: variables ?? '',
  headers: null,
  hash: null,
  operationName: title,
  response: null,
});

function storedState(storage) {
  try {
    const state = JSON.parse(storage.getItem(TAB_STATE));
    return state?.tabs?.[state.activeTabIndex] ? state : null;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
}

function openLinked(state, linked) {
  const open = state.tabs.findIndex(
    ({ query, variables }) => query === linked.query && (variables ?? '') === linked.variables,
  );
  if (open >= 0) return { ...state, activeTabIndex: open };
  return { tabs: [...state.tabs, asTab(linked)], activeTabIndex: state.tabs.length };
}

// Takes an operation from the address: `#query=…&variables=…`, which no server ever sees, or `?query=…`, which is a
// GET of GraphQL over HTTP. It is shown, never run by itself, and leaves the address at once.
export function takeLinkedOperation() {
  const { hash, pathname, search } = window.location;
  const linked = [hash, search].map((text) => new URLSearchParams(text.slice(1)));
  const parameters = linked.find((each) => each.get('query'));
  if (!parameters) return null;
  window.history.replaceState(null, '', pathname);
  const query = parameters.get('query');
  const name = /\b(?:query|mutation|subscription)\s+(\w+)/.exec(query)?.[1];
  return { title: name ?? '<untitled>', query, variables: parameters.get('variables') ?? '' };
}

export function prepareTabs(storage, { examples, linked }) {
  const kept = storedState(storage) ?? { tabs: examples.map(asTab), activeTabIndex: 0 };
  const state = linked ? openLinked(kept, linked) : kept;
  const { query, variables } = state.tabs[state.activeTabIndex];
  storage.setItem(TAB_STATE, JSON.stringify(state));
  // GraphiQL finds its active tab by comparing these two with each tab.
  storage.setItem(QUERY, query ?? '');
  storage.setItem(VARIABLES, variables ?? '');
}
