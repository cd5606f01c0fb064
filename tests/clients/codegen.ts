// As in docs/frontend.md; an endpoint's URL does as well as the file.
import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "api.graphql",
  documents: ["src/operations.ts", "page/*.tsx"],
  generates: {
    "src/gql/": {
      preset: "client",
      config: { scalars: { BigInt: "number | string", JSON: "unknown" }, useTypeImports: true },
      presetConfig: { fragmentMasking: false },
    },
  },
  emitLegacyCommonJSImports: false,
};

export default config;
