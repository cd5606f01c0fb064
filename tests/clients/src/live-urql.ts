import { cacheExchange, Client, fetchExchange } from "urql";
import { createLiveClient } from "./live.js";
import { liveExchange } from "./liveExchange.js";
import { authorization, url } from "./seen.js";
import { watch } from "./live-urql-watching.js";

const live = createLiveClient({ url, headers: authorization });
watch(new Client({ url, exchanges: [cacheExchange, fetchExchange, liveExchange(live)] }));
