// Runs the server audits of graphql-http against the URL it is given; prints their results as JSON.
import { auditServer } from "graphql-http";

// As every client has to that sends what any web page could.
const fetchFn = (url, options) =>
  fetch(url, { ...options, headers: { "apollo-require-preflight": "1", ...options?.headers } });
const results = await auditServer({ url: process.argv[2], fetchFn });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
