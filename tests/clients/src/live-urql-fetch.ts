// urql's own reading of event streams.
import { cacheExchange, Client, fetchExchange } from "urql";
import { authorization, url } from "./seen.js";
import { watch } from "./live-urql-watching.js";

watch(
  new Client({
    url,
    exchanges: [cacheExchange, fetchExchange],
    fetchOptions: { headers: authorization },
    fetchSubscriptions: true,
  }),
);
