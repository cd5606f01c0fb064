// Runs an operation, and returns its response and its cost.

const config = JSON.parse(document.getElementById('config').textContent);

export const { callers, explorer } = config;

export const callerOf = (state) => callers.find(({ name }) => name === state.as) ?? callers[0];

// Returns `data` (or null), `errors` (or []) and `cost`.
//
// `bypassesCache` asks for fresh data. Throws an AbortError when `signal` is aborted.
export async function run({ name, document, variables }, { token, signal, bypassesCache = false }) {
  const started = performance.now();
  let response;
  let text;
  try {
    response = await fetch(config.endpoint, {
      method: 'POST',
      headers: {
        Accept: 'application/graphql-response+json, application/json;q=0.9',
        Authorization: `Bearer ${token}`,
        'Content-Type': 'application/json',
        'X-Gateway-Report': '1',
        ...(bypassesCache && { 'Cache-Control': 'no-cache' }),
      },
      body: JSON.stringify({ operationName: name, query: document, variables }),
      referrerPolicy: 'no-referrer',
      signal,
    });
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    return failure('NO_ANSWER', 'The gateway did not answer.', started);
  }
  return answer(response, text, started);
}

function answer(response, text, started) {
  const { data = null, errors = [], extensions = {} } = parse(text);
  if (data === null && errors.length === 0) {
    return failure('NO_GRAPHQL', `HTTP ${response.status}: the response is not GraphQL.`, started);
  }
  return {
    data,
    errors: errors.map(({ message, extensions: { code, ...rest } = {} }) => ({ code, message, ...rest })),
    cost: {
      upstream: extensions.upstream ?? null,
      bytes: new Blob([text]).size,
      milliseconds: performance.now() - started,
    },
  };
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {};
  }
}

function failure(code, message, started) {
  const cost = { upstream: null, bytes: 0, milliseconds: performance.now() - started };
  return { data: null, errors: [{ code, message }], cost };
}
