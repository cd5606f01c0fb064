// The state of the page as the query of its address, so that a reload, the back button and a copied link lead
// to the same view. It holds the caller's name, never the token.

export const DEFAULTS = Object.freeze({
  as: '',
  search: '',
  ownership: '',
  status: '',
  feedback: [],
  order: 'DESC',
  sortBy: 'ORIGINAL_FILENAME',
  page: 1,
  perPage: 12,
  project: null,
  images: 24,
});

const FILTERS = ['search', 'ownership', 'status', 'feedback'];

// Only the syntax is checked; the gateway checks ranges.
const READERS = {
  feedback: (values) => values,
  page: (values) => integer(values, DEFAULTS.page),
  perPage: (values) => integer(values, DEFAULTS.perPage),
  images: (values) => integer(values, DEFAULTS.images),
  project: (values) => bigInteger(values, null),
  order: (values) => (values[0] === 'ASC' ? 'ASC' : 'DESC'),
  sortBy: (values) => (values[0] === 'QUALITY_SCORE' ? 'QUALITY_SCORE' : DEFAULTS.sortBy),
  ownership: (values) => (['MINE', 'SHARED'].includes(values[0]) ? values[0] : ''),
};

function integer(values, otherwise) {
  const number = Number.parseInt(values[0], 10);
  return Number.isNaN(number) ? otherwise : number;
}

// A number that JavaScript cannot hold exactly stays a string, as in responses.
function bigInteger(values, otherwise) {
  const number = integer(values, otherwise);
  return number === otherwise || Number.isSafeInteger(number) ? number : values[0];
}

export function parseState(search) {
  const query = new URLSearchParams(search);
  const entries = Object.keys(DEFAULTS).map((name) => {
    const read = READERS[name] ?? ((values) => values[0] ?? '');
    return [name, read(query.getAll(name))];
  });
  return Object.fromEntries(entries);
}

// Returns a relative address, which also works behind a path prefix, without default values.
export function addressOf(state) {
  const query = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const values = [state[name]].flat().filter((value) => value !== null && value !== usual && value !== '');
    values.forEach((value) => query.append(name, value));
  }
  return query.size ? `?${query}` : '.';
}

export const isFiltered = (state) =>
  FILTERS.some((name) => String(state[name]) !== String(DEFAULTS[name]));

export const filtersCleared = () =>
  Object.fromEntries([...FILTERS, 'page'].map((name) => [name, DEFAULTS[name]]));
