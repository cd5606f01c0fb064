// Runs operations, and returns their responses and their cost.
import { readEvents } from './event-stream.js';

const config = JSON.parse(document.getElementById('config').textContent);

const JSON_TYPES = 'application/graphql-response+json, application/json;q=0.9';
const EVENTS_TYPE = 'text/event-stream';

// A stream begins at once; a proxy that collects events delivers none.
const FIRST_BYTES_MILLISECONDS = 5_000;
// The gateway sends something every 12 seconds.
const SILENCE_MILLISECONDS = 30_000;
// Before the next stream, if the gateway does not say how long.
const RETRY_MILLISECONDS = 3_000;

export const { callers, explorer } = config;

export const callerOf = (state) => callers.find(({ name }) => name === state.as) ?? callers[0];

// Returns `data` (or null), `errors` (or []) and `cost`.
//
// `bypassesCache` asks for fresh data. Throws an AbortError when `signal` is aborted.
export async function run(operation, { token, signal, bypassesCache = false }) {
  const started = performance.now();
  const waited = () => performance.now() - started;
  let response;
  let text;
  try {
    response = await send(operation, { token, signal, accept: JSON_TYPES, bypassesCache });
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    return failure('NO_ANSWER', 'The gateway did not answer.', waited());
  }
  return answer(response.status, text, waited());
}

// Yields the responses of a subscription, like those of `run`, until the stream ends or breaks.
//
// Each has `retry`: the milliseconds after which another stream is welcome. The response to a refused
// subscription is its only one. Throws an AbortError when `signal` is aborted.
export async function* subscribe(operation, { token, signal }) {
  const watchdog = makeWatchdog(signal);
  try {
    watchdog.expectBytesWithin(FIRST_BYTES_MILLISECONDS);
    const response = await send(operation, { token, signal: watchdog.signal, accept: EVENTS_TYPE });
    const { status, headers, body } = response;
    if (!headers.get('content-type')?.startsWith(EVENTS_TYPE)) {
      const retry = 1000 * (Number(headers.get('retry-after')) || 0);
      yield { ...answer(status, await response.text(), null), retry };
      return;
    }
    const onBytes = () => watchdog.expectBytesWithin(SILENCE_MILLISECONDS);
    for await (const { type, data, retry } of readEvents(body, { onBytes })) {
      if (type === 'complete') return;
      if (type === 'next') yield { ...answer(status, data, null), retry: retry ?? RETRY_MILLISECONDS };
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const isBroken = error instanceof TypeError || watchdog.signal.aborted;
    if (!isBroken) throw error;
  } finally {
    watchdog.end();
  }
}

// Aborts `signal` when nothing has arrived for too long.
function makeWatchdog(signal) {
  const ending = new AbortController();
  let timer = 0;
  return {
    signal: AbortSignal.any([signal, ending.signal]),
    expectBytesWithin(milliseconds) {
      clearTimeout(timer);
      timer = setTimeout(() => ending.abort(new DOMException('Silence', 'TimeoutError')), milliseconds);
    },
    end() {
      clearTimeout(timer);
      ending.abort();
    },
  };
}

const send = ({ name, document, variables }, { token, signal, accept, bypassesCache = false }) =>
  fetch(config.endpoint, {
    method: 'POST',
    headers: {
      Accept: accept,
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'X-Gateway-Report': '1',
      ...(bypassesCache && { 'Cache-Control': 'no-cache' }),
    },
    body: JSON.stringify({ operationName: name, query: document, variables }),
    referrerPolicy: 'no-referrer',
    signal,
  });

// `waited` is the milliseconds between a request and its response, or null if it is an event.
function answer(status, text, waited) {
  const { data = null, errors = [], extensions = {} } = parse(text);
  if (data === null && errors.length === 0) {
    return failure('NO_GRAPHQL', `HTTP ${status}: the response is not GraphQL.`, waited);
  }
  return {
    data,
    errors: errors.map(({ message, extensions: { code, ...rest } = {} }) => ({ code, message, ...rest })),
    cost: { upstream: extensions.upstream ?? null, bytes: new Blob([text]).size, milliseconds: waited },
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

const failure = (code, message, waited) => ({
  data: null,
  errors: [{ code, message }],
  cost: { upstream: null, bytes: 0, milliseconds: waited },
});
