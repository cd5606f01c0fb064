// Composes each list of subgraphs that it is given as JSON ({ name, url, sdl } each) with each composer, and prints
// what came of each. With `excluded`, the composers that can also make the contract without these tags do so.
import { readFileSync } from "node:fs";
import { composeServices as composeWithApollo } from "@apollo/composition";
import { composeSchemaContract, composeServices as composeWithGuild } from "@theguild/federation-composition";
import { federateSubgraphs, federateSubgraphsContract } from "@wundergraph/composition";
import { parse, print, printSchema } from "graphql";

// Cosmo's composer needs it; Node has it since version 22.
Set.prototype.isDisjointFrom ??= function isDisjointFrom(other) {
  return [...this].every((item) => !other.has(item));
};

const { graphs, excluded } = JSON.parse(readFileSync(0, "utf8"));
const tags = { include: new Set(), exclude: new Set(excluded) };
const codesOf = (errors = []) => [...new Set(errors.map(({ extensions, name }) => extensions?.code ?? name))];

const COMPOSERS = {
  guild(subgraphs) {
    const services = subgraphs.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) }));
    const result = excluded ? composeSchemaContract(services, tags, true) : composeWithGuild(services);
    return { codes: codesOf(result.errors), supergraph: result.supergraphSdl, graph: result.publicSdl };
  },
  cosmo(subgraphs) {
    const services = subgraphs.map(({ name, url, sdl }) => ({ name, url, definitions: parse(sdl) }));
    const options = { subgraphs: services, version: "1" };
    const contractTagOptions = { tagNamesToInclude: tags.include, tagNamesToExclude: tags.exclude };
    const result = excluded
      ? federateSubgraphsContract({ ...options, contractTagOptions })
      : federateSubgraphs(options);
    if (!result.success) return { codes: codesOf(result.errors) };
    const { federatedGraphAST, federatedGraphClientSchema } = result;
    return { codes: [], supergraph: print(federatedGraphAST), graph: printSchema(federatedGraphClientSchema) };
  },
  // Apollo makes contracts on its servers only.
  ...(!excluded && {
    apollo(subgraphs) {
      const services = subgraphs.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) }));
      const { errors, schema, supergraphSdl } = composeWithApollo(services);
      const graph = schema && printSchema(schema.toAPISchema().toGraphQLJSSchema());
      return { codes: codesOf(errors), supergraph: supergraphSdl, graph };
    },
  }),
};

const composed = Object.entries(COMPOSERS).map(([name, compose]) => [name, graphs.map(compose)]);
console.log(JSON.stringify(Object.fromEntries(composed)));
