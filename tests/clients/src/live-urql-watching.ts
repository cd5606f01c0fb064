import type { Client } from "urql";
import { Progress } from "./operations.js";
import { onStop, sink } from "./watching.js";

export function watch(client: Client): void {
  let last = "";
  const { unsubscribe } = client.subscription(Progress, {}).subscribe(({ data, error, hasNext }) => {
    if (error?.networkError) return sink.error(error.networkError);
    const result = error ? { errors: error.graphQLErrors } : { data };
    // The last result comes once more when the subscription is over.
    if (JSON.stringify(result) !== last) sink.next(result);
    last = JSON.stringify(result);
    return hasNext ? undefined : sink.complete();
  });
  onStop(unsubscribe);
}
