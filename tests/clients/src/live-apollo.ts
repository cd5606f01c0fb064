import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { EventStreamLink } from "./EventStreamLink.js";
import { createLiveClient } from "./live.js";
import { Progress } from "./operations.js";
import { authorization, url } from "./seen.js";
import { onStop, sink } from "./watching.js";

const live = new EventStreamLink(createLiveClient({ url, headers: authorization }));
const link = ApolloLink.split(({ operationType }) => operationType === "subscription", live, new HttpLink({ uri: url }));
const client = new ApolloClient({ link, cache: new InMemoryCache() });
const fragment = gql`fragment Counters on Project { completedImages pendingImages }`;

// The counters come from the cache, since an event updates the projects that other components show.
const cached = (id: string) => client.readFragment({ id: `Project:${id}`, fragment });

const subscription = client.subscribe({ query: Progress }).subscribe({
  next({ data, error }) {
    if (CombinedGraphQLErrors.is(error)) return sink.next({ errors: error.errors });
    return sink.next({ data: data?.gallery?.projects?.map((project) => project && cached(project.id)) });
  },
  error: sink.error,
  complete: sink.complete,
});
onStop(() => subscription.unsubscribe());
