import { print } from "graphql";
import { subscribe } from "./events.js";
import { Progress } from "./operations.js";
import { authorization, url } from "./seen.js";
import { onStop, sink, type Result } from "./watching.js";

const abort = new AbortController();
onStop(() => abort.abort());
try {
  const results = subscribe(url, { query: print(Progress) }, { headers: authorization, signal: abort.signal });
  for await (const result of results) sink.next(result as Result);
  sink.complete();
} catch (error) {
  if (!abort.signal.aborted) sink.error(error);
}
