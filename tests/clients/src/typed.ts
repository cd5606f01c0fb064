// No client but fetch: the types alone.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print as printed } from "graphql";
import type { GraphQLFormattedError } from "graphql";
import { ProjectDetail, ProjectList } from "./operations.js";
import { authorization, known, print, SEARCH, url } from "./seen.js";

type Answer<Data> = { data?: Data | null; errors?: GraphQLFormattedError[] };

async function ask<Data, Variables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  headers: Record<string, string> = authorization,
): Promise<Answer<Data>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ query: printed(document), variables }),
  });
  return (await response.json()) as Answer<Data>;
}

const projects = known((await ask(ProjectList, { first: 3, search: SEARCH })).data?.projects);
const nodes = projects.edges.map((edge) => known(edge.node));
const detail = await ask(ProjectDetail, { projectId: known(nodes[0]).projectId });

async function page(after: string | null) {
  return known((await ask(ProjectList, { first: 20, after, search: SEARCH })).data?.projects);
}

const walked: (number | string)[] = [];
for (let after: string | null = null; ; ) {
  const { edges, pageInfo }: Awaited<ReturnType<typeof page>> = await page(after);
  walked.push(...edges.map((edge) => known(edge.node).projectId));
  if (!pageInfo.hasNextPage) break;
  after = known(pageInfo.endCursor);
}

const refused = known((await ask(ProjectList, { first: 0 })).errors?.[0]?.extensions);
const unauthenticated = known((await ask(ProjectList, { first: 1 }, {})).errors?.[0]?.extensions);

print({
  total: projects.totalCount,
  listed: nodes.map((node) => known(node.projectName)),
  images: known(detail.data?.project).images.length,
  walked,
  refused: { code: refused["code"], argument: refused["argument"] },
  unauthenticated: unauthenticated["code"],
});
