import { cacheExchange, Client, fetchExchange } from "urql";
import { ProjectDetail, ProjectList } from "./operations.js";
import { authorization, known, print, SEARCH, url } from "./seen.js";

function client(headers: Record<string, string>): Client {
  return new Client({
    url,
    exchanges: [cacheExchange, fetchExchange],
    // urql asks by GET where it can.
    fetchOptions: () => ({ headers: { ...headers, "apollo-require-preflight": "1" } }),
  });
}

const caller = client(authorization);
const list = await caller.query(ProjectList, { first: 3, search: SEARCH });
if (list.error) throw list.error;
const projects = known(list.data?.projects);
const nodes = projects.edges.map((edge) => known(edge.node));
const detail = await caller.query(ProjectDetail, { projectId: known(nodes[0]).projectId });

async function page(after: string | null) {
  return known((await caller.query(ProjectList, { first: 20, after, search: SEARCH })).data?.projects);
}

const walked: (number | string)[] = [];
for (let after: string | null = null; ; ) {
  const { edges, pageInfo }: Awaited<ReturnType<typeof page>> = await page(after);
  walked.push(...edges.map((edge) => known(edge.node).projectId));
  if (!pageInfo.hasNextPage) break;
  after = known(pageInfo.endCursor);
}

const refused = known((await caller.query(ProjectList, { first: 0 })).error?.graphQLErrors[0]);
const unauthenticated = (await client({}).query(ProjectList, { first: 1 })).error?.graphQLErrors[0];

print({
  total: projects.totalCount,
  listed: nodes.map((node) => known(node.projectName)),
  images: known(detail.data?.project).images.length,
  walked,
  refused: { code: refused.extensions["code"], argument: refused.extensions["argument"] },
  unauthenticated: known(unauthenticated).extensions["code"],
});
