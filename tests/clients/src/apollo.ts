import { ApolloClient, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { relayStylePagination } from "@apollo/client/utilities";
import { ProjectDetail, ProjectList } from "./operations.js";
import { authorization, known, print, SEARCH, url } from "./seen.js";

function client(cache: InMemoryCache, headers: Record<string, string> = authorization): ApolloClient {
  const authorized = new SetContextLink((before) => ({ headers: { ...before.headers, ...headers } }));
  return new ApolloClient({ link: authorized.concat(new HttpLink({ uri: url })), cache });
}

async function refusal(asked: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await asked;
  } catch (error) {
    if (CombinedGraphQLErrors.is(error)) return known(error.errors[0]?.extensions);
    throw error;
  }
  throw new Error("it was not refused");
}

function deferred() {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve: () => resolve() };
}

// A cache without any configuration.
const cache = new InMemoryCache();
const plain = client(cache);
const list = known((await plain.query({ query: ProjectList, variables: { first: 3, search: SEARCH } })).data);
const projects = known(list.projects);
const first = known(known(projects.edges[0]).node);
const detail = await plain.query({ query: ProjectDetail, variables: { projectId: first.projectId } });
const normalised = cache.extract();
const merged = cache.readFragment<{ totalImages: number; createdBy: string }>({
  id: `Project:${first.id}`,
  fragment: gql`fragment Both on Project { totalImages createdBy }`,
});

// The one field that pages are put together under.
const paging = client(
  new InMemoryCache({
    typePolicies: { Query: { fields: { projects: relayStylePagination(["search", "order"]) } } },
  }),
);
const shown = { query: ProjectList, variables: { first: 20, search: SEARCH } };
const watched = paging.watchQuery(shown);
const { promise: answered, resolve } = deferred();
const subscription = watched.subscribe((result) => result.loading || resolve());
await answered;
let { pageInfo } = known(paging.readQuery(shown)?.projects);
while (pageInfo.hasNextPage) {
  const more = await watched.fetchMore({ variables: { after: known(pageInfo.endCursor) } });
  ({ pageInfo } = known(more.data?.projects));
}
const walked = known(paging.readQuery(shown)?.projects).edges.map((edge) => known(edge.node).projectId);
subscription.unsubscribe();

const refused = await refusal(plain.query({ query: ProjectList, variables: { first: 0 } }));
const stranger = client(new InMemoryCache(), {});
const unauthenticated = await refusal(stranger.query({ query: ProjectList, variables: { first: 1 } }));

print({
  total: projects.totalCount,
  listed: projects.edges.map((edge) => known(known(edge.node).projectName)),
  images: known(known(detail.data).project).images.length,
  walked,
  refused: { code: refused["code"], argument: refused["argument"] },
  unauthenticated: unauthenticated["code"],
  ids: { project: first.id, images: first.images.map((image) => image.id) },
  normalised: Object.keys(normalised),
  merged,
});
