// graphql-js itself, and graphql-config as editors use it.
import { readFileSync } from "node:fs";
import { buildSchema, validateSchema } from "graphql";
import { loadConfig } from "graphql-config";

const errors = validateSchema(buildSchema(readFileSync("api.graphql", "utf8")));
const project = (await loadConfig({ rootDir: "tools" })).getDefault();
const schema = await project.getSchema();
const documents = await project.getDocuments();
console.log(JSON.stringify({ errors, fields: Object.keys(schema.getQueryType().getFields()), documents: documents.length }));
