// urql with the cache of docs/frontend.md, which puts the pages of a list together.
import { Client, fetchExchange } from "urql";
import { graphcache } from "./graphcache.js";
import { ProjectDetail, ProjectList } from "./operations.js";
import { authorization, known, print, SEARCH, url } from "./seen.js";

function client(headers: Record<string, string>): Client {
  return new Client({
    url,
    exchanges: [graphcache, fetchExchange],
    fetchOptions: () => ({ headers: { ...headers, "apollo-require-preflight": "1" } }),
  });
}

const caller = client(authorization);
const complaints: unknown[] = [];
console.warn = (...complaint: unknown[]) => complaints.push(complaint);

async function page(after: string | null) {
  const result = await caller.query(ProjectList, { first: 20, after, search: SEARCH });
  if (result.error) throw result.error;
  return known(result.data?.projects);
}

let projects = await page(null);
while (projects.pageInfo.hasNextPage) projects = await page(known(projects.pageInfo.endCursor));
const nodes = projects.edges.map((edge) => known(edge.node));
const detail = await caller.query(ProjectDetail, { projectId: known(nodes[0]).projectId });

const refused = known((await caller.query(ProjectList, { first: 0 })).error?.graphQLErrors[0]);
const unauthenticated = (await client({}).query(ProjectList, { first: 1 })).error?.graphQLErrors[0];

print({
  total: projects.totalCount,
  listed: nodes.slice(0, 3).map((node) => known(node.projectName)),
  images: known(detail.data?.project).images.length,
  walked: nodes.map((node) => node.projectId),
  refused: { code: refused.extensions["code"], argument: refused.extensions["argument"] },
  unauthenticated: known(unauthenticated).extensions["code"],
  complaints,
});
