// Sends operations to the gateway, with the headers that the user sees in the editor. Beside them goes only
// `X-Gateway-Report`, which asks for the upstream calls that an operation made, or would make.

const asErrors = (message) => ({ errors: [{ message }] });

// A response that is not GraphQL, such as the page of a proxy, is reported as such.
async function parse(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return asErrors(`HTTP ${response.status} ${response.statusText}: the answer is not JSON.`);
  }
}

// report: `1` adds the calls to the response; `plan` answers with the plan, and no call is made.
export async function send({ endpoint, body, headers, report }) {
  try {
    const sent = new Headers({
      Accept: 'application/graphql-response+json, application/json;q=0.9',
      'Content-Type': 'application/json',
      ...(report && { 'X-Gateway-Report': report }),
    });
    // As `fetch` itself reads an object of headers, but a header of the user replaces one of ours.
    for (const [name, value] of Object.entries(headers)) sent.set(name, value);
    // With a report of the user, the gateway would run the operation that was to be planned.
    if (report === 'plan') sent.set('X-Gateway-Report', report);
    const options = { method: 'POST', redirect: 'error', referrerPolicy: 'no-referrer' };
    return await parse(await fetch(endpoint, { ...options, headers: sent, body: JSON.stringify(body) }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return asErrors(`The request was not sent, or not answered: ${error.message}`);
  }
}

// firstHeaders go with the introspection that GraphiQL sends before its headers editor is there.
// onRun gets the name and the response of each operation of the user.
export function makeFetcher({ endpoint, firstHeaders, onRun }) {
  return async function fetcher({ query, operationName, variables }, { headers } = {}) {
    const introspects = operationName === 'IntrospectionQuery';
    const response = await send({
      endpoint,
      body: { query, operationName, variables },
      headers: headers ?? (introspects ? firstHeaders : {}),
      report: introspects ? null : '1',
    });
    if (!introspects) onRun(operationName, response);
    return response;
  };
}
