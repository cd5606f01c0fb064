// Composes each list of subgraphs that it is given as JSON ({ name, url, sdl } each); prints what came of each.
import { readFileSync } from "node:fs";
import { composeServices } from "@theguild/federation-composition";
import { parse } from "graphql";

const composed = JSON.parse(readFileSync(0, "utf8")).map((subgraphs) => {
  const services = subgraphs.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) }));
  const { errors, supergraphSdl, publicSdl } = composeServices(services);
  const codes = errors?.map(({ extensions }) => extensions.code) ?? [];
  return { codes: [...new Set(codes)], supergraph: supergraphSdl, graph: publicSdl };
});
console.log(JSON.stringify(composed));
