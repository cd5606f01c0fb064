// Relay's runtime with what its compiler made of relay/ProjectList.ts.
import {
  createOperationDescriptor,
  Environment,
  fetchQuery,
  getSingularSelector,
  Network,
  RecordSource,
  Store,
} from "relay-runtime";
import type { GraphQLResponse } from "relay-runtime";
import detailQuery from "./relay/__generated__/ProjectRowQuery.graphql.js";
import type { ProjectRowQuery } from "./relay/__generated__/ProjectRowQuery.graphql.js";
import listFragment from "./relay/__generated__/ProjectList_projects.graphql.js";
import type { ProjectList_projects$data } from "./relay/__generated__/ProjectList_projects.graphql.js";
import listQuery from "./relay/__generated__/ProjectListQuery.graphql.js";
import type { ProjectListQuery } from "./relay/__generated__/ProjectListQuery.graphql.js";
import pageQuery from "./relay/__generated__/ProjectListPageQuery.graphql.js";
import type { ProjectListPageQuery } from "./relay/__generated__/ProjectListPageQuery.graphql.js";
import { authorization, known, print, SEARCH, url } from "./seen.js";

type Refusal = { code?: unknown; argument?: unknown };

function environment(headers: Record<string, string>, refusals: Refusal[] = []): Environment {
  const network = Network.create(async (request, variables) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ query: request.text, variables }),
    });
    const answer = (await response.json()) as { errors?: { extensions: Refusal }[] };
    refusals.push(...(answer.errors ?? []).map((error) => error.extensions));
    return answer as GraphQLResponse;
  });
  return new Environment({ network, store: new Store(new RecordSource()) });
}

const caller = environment(authorization);
const variables = { count: 20, search: SEARCH };
const owner = createOperationDescriptor(listQuery, variables);
caller.retain(owner);
await fetchQuery<ProjectListQuery>(caller, listQuery, variables).toPromise();

// What useFragment and usePaginationFragment read.
function shown(): ProjectList_projects$data {
  const selector = getSingularSelector(listFragment, caller.lookup(owner.fragment).data);
  return caller.lookup(known(selector as never)).data as unknown as ProjectList_projects$data;
}

// What usePaginationFragment's loadNext does.
while (known(shown().projects).pageInfo.hasNextPage) {
  const cursor = known(known(shown().projects).pageInfo.endCursor);
  await fetchQuery<ProjectListPageQuery>(caller, pageQuery, { ...variables, cursor }).toPromise();
}
const projects = known(shown().projects);
const walked = projects.edges.map((edge) => known(edge.node).projectId);

const id = known(known(projects.edges[0]).node).id;
const detail = known(
  await fetchQuery<ProjectRowQuery>(caller, detailQuery, { id, images: 5 }).toPromise(),
);
const record = known(caller.getStore().getSource().get(id)) as Record<string, unknown>;
const images = record["images(first:5)"] as { __refs: string[] };

const refusals: Refusal[] = [];
const refused = environment(authorization, refusals);
await fetchQuery<ProjectListQuery>(refused, listQuery, { count: 0 }).toPromise().catch(() => {});
const stranger = environment({}, refusals);
await fetchQuery<ProjectListQuery>(stranger, listQuery, { count: 1 }).toPromise().catch(() => {});

print({
  total: projects.totalCount,
  listed: projects.edges.slice(0, 3).map((edge) => known(known(edge.node).projectName)),
  images: images.__refs.length,
  walked,
  refused: { code: refusals[0]?.code, argument: refusals[0]?.argument },
  unauthenticated: refusals[1]?.code,
  node: detail.node != null,
});
