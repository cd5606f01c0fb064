// Follows the progress of a view while the page is visible: by a stream, and by polling while there is none.

const POLL_MILLISECONDS = 3_000;
// Until the next stream, after one without an answer; doubled after each further one.
const MIN_BACKOFF_MILLISECONDS = 5_000;
const MAX_BACKOFF_MILLISECONDS = 60_000;

// Returns a function that ends it.
//
// `subscribe(signal)` returns the responses of a stream, and `poll(signal)` one response.
// `show(response, { isLive })` returns whether there was something to show.
export function followProgress(source) {
  const ending = new AbortController();
  let visible = new AbortController();

  // A hidden page frees its connection: a browser has six for all tabs.
  const restart = () => {
    visible.abort();
    visible = new AbortController();
    if (!document.hidden) follow(source, AbortSignal.any([visible.signal, ending.signal]));
  };
  document.addEventListener('visibilitychange', restart, { signal: ending.signal });
  restart();
  return () => ending.abort();
}

async function follow(source, signal) {
  let failures = 0;
  try {
    for (;;) {
      const { hasAnswered, retry } = await showStream(source, signal);
      failures = hasAnswered ? 0 : failures + 1;
      if (hasAnswered) await pause(retry, signal);
      else await pollFor(Math.max(retry, backoff(failures)), source, signal);
    }
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
  }
}

// Resolves when the stream has ended. `retry` is the milliseconds after which another one is welcome.
async function showStream({ subscribe, show }, signal) {
  let hasAnswered = false;
  let retry = 0;
  for await (const response of subscribe(signal)) {
    hasAnswered = show(response, { isLive: true }) || hasAnswered;
    ({ retry } = response);
    signal.throwIfAborted();
  }
  return { hasAnswered, retry };
}

const backoff = (failures) =>
  Math.min(MIN_BACKOFF_MILLISECONDS * 2 ** (failures - 1), MAX_BACKOFF_MILLISECONDS);

async function pollFor(milliseconds, { poll, show }, signal) {
  const until = performance.now() + milliseconds;
  do {
    // Many pages may have lost their streams at the same time.
    await pause(POLL_MILLISECONDS * (1 - Math.random() / 4), signal);
    show(await poll(signal), { isLive: false });
    signal.throwIfAborted();
  } while (performance.now() < until);
}

async function pause(milliseconds, signal) {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  signal.throwIfAborted();
}
