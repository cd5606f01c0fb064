// Polls every few seconds while there is progress to show and the page is visible.

const EVERY_MILLISECONDS = 3000;

// ask(signal) resolves to whether to continue. Returns a function that stops the polling.
export function startProgress(ask) {
  const stopping = new AbortController();
  const { signal } = stopping;
  let timer = 0;

  const later = () => {
    clearTimeout(timer);
    if (!signal.aborted && !document.hidden) timer = setTimeout(once, EVERY_MILLISECONDS);
  };
  const once = async () => {
    try {
      if (await ask(signal)) later();
      else stopping.abort();
    } catch (error) {
      if (error.name !== 'AbortError') throw error;
    }
  };
  document.addEventListener('visibilitychange', later, { signal });
  later();

  return () => {
    clearTimeout(timer);
    stopping.abort();
  };
}
