// The browser's storage for GraphiQL, which lets no header in.
//
// shouldPersistHeaders={false} is not enough: GraphiQL 4.1.2 writes the headers of every operation it
// ran into its history (`graphiql:queries`, `graphiql:favorites`).
const PREFIX = 'graphiql:';
const HEADERS = `${PREFIX}headers`;
const WITH_HEADERS = new Set([`${PREFIX}tabState`, `${PREFIX}queries`, `${PREFIX}favorites`]);

// A tab's hash is made of its query, its variables and its headers, so it goes as well.
const isSecret = (name) => name === 'headers' || name === 'hash';
const withoutHeaders = (json) =>
  JSON.stringify(JSON.parse(json), (name, value) => (isSecret(name) ? null : value));

// Where a browser forbids storage, even reading the property throws.
function openBacking() {
  try {
    const backing = window.localStorage;
    backing.getItem(PREFIX);
    return backing;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    const items = new Map();
    return {
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => items.set(key, value),
      removeItem: (key) => items.delete(key),
      key: (index) => [...items.keys()][index] ?? null,
      get length() {
        return items.size;
      },
    };
  }
}

export function openStorage() {
  const backing = openBacking();
  const keys = () =>
    Array.from({ length: backing.length }, (_, index) => backing.key(index)).filter((key) =>
      key.startsWith(PREFIX),
    );
  return {
    getItem: (key) => (key === HEADERS ? null : backing.getItem(key)),
    setItem(key, value) {
      if (key === HEADERS) return;
      backing.setItem(key, WITH_HEADERS.has(key) ? withoutHeaders(value) : value);
    },
    removeItem: (key) => backing.removeItem(key),
    clear: () => keys().forEach((key) => backing.removeItem(key)),
    get length() {
      return keys().length;
    },
  };
}
