import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache } from "@apollo/client";
import { EventStreamLink } from "./EventStreamLink.js";
import { createLiveClient } from "./live.js";
import { Progress } from "./operations.js";
import { authorization, url } from "./seen.js";
import { onStop, sink } from "./watching.js";

const live = new EventStreamLink(createLiveClient({ url, headers: authorization }));
const link = ApolloLink.split(({ operationType }) => operationType === "subscription", live, new HttpLink({ uri: url }));
const client = new ApolloClient({ link, cache: new InMemoryCache() });
const subscription = client.subscribe({ query: Progress }).subscribe({
  next: ({ data, error }) => sink.next(CombinedGraphQLErrors.is(error) ? { errors: error.errors } : { data }),
  error: sink.error,
  complete: sink.complete,
});
onStop(() => subscription.unsubscribe());
