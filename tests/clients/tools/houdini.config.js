/** @type {import('houdini').ConfigFile} */
export default {
  schemaPath: "../api.graphql",
  include: ["*.graphql"],
  runtimeDir: "houdini",
  scalars: { BigInt: { type: "number | string" }, JSON: { type: "unknown" } },
};
