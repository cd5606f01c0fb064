import { print } from "graphql";
import { createLiveClient } from "./live.js";
import { Progress } from "./operations.js";
import { authorization, url } from "./seen.js";
import { onStop, sink } from "./watching.js";

onStop(createLiveClient({ url, headers: authorization }).subscribe({ query: print(Progress) }, sink));
