// How long `poll` waits after each of some responses; the waits are noted and not spent.
import { poll } from "./poll.js";

const waits: number[] = [];
globalThis.setTimeout = ((wake: () => void, milliseconds: number) => {
  waits.push(milliseconds / 1000);
  wake();
}) as typeof setTimeout;

const refused = (code: string, retryAfter?: number) => ({ data: null, errors: [{ extensions: { code, retryAfter } }] });
const uncached = { "cache-control": "private, no-store" };
const responses: [body: object, headers: Record<string, string>, status?: number][] = [
  [{ data: {} }, { "cache-control": "private, max-age=30", age: "20" }],
  [{ data: {} }, { "cache-control": "private, max-age=0", age: "31" }],
  [refused("RATE_LIMITED", 60), uncached],
  [refused("RATE_LIMITED"), uncached],
  [{ data: {}, errors: [...refused("UPSTREAM_TIMEOUT").errors, ...refused("RATE_LIMITED", 7).errors] }, uncached],
  [refused("OVERLOADED", 5), { ...uncached, "retry-after": "5" }, 503],
  [{ errors: [{}] }, { "retry-after": "9" }, 429],
  [{ errors: [{}] }, { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }, 503],
  [{ data: { isDone: true } }, uncached],
];

await poll<{ isDone?: boolean }>(
  async () => {
    const [body, headers, status = 200] = responses.shift() ?? [{}, {}];
    return new Response(JSON.stringify(body), { headers, status });
  },
  ({ data }) => data?.isDone === true,
);
console.log(JSON.stringify({ waits, left: responses.length }));
