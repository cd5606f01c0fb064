// By GET.
import { EventSource } from "eventsource";
import { print } from "graphql";
import { Progress } from "./operations.js";
import { authorization, url } from "./seen.js";
import { onStop, sink } from "./watching.js";

const source = new EventSource(`${url}?${new URLSearchParams({ query: print(Progress) })}`, {
  fetch: (input, init) =>
    fetch(input, { ...init, headers: { ...init.headers, ...authorization, "apollo-require-preflight": "1" } }),
});
let isPending = false;
source.addEventListener("next", ({ data }) => {
  isPending = /"pendingImages":[1-9]/.test(data);
  sink.next(JSON.parse(data));
});
source.addEventListener("complete", () => {
  if (isPending) return;
  source.close();
  sink.complete();
});
onStop(() => source.close());
