// Sends an operation to the gateway, with the headers that the user sees in the editor and no others.

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

// firstHeaders go with the introspection that GraphiQL sends before its headers editor is there.
export function makeFetcher({ endpoint, firstHeaders }) {
  return async function fetcher({ query, operationName, variables }, { headers } = {}) {
    const introspects = operationName === 'IntrospectionQuery';
    let response;
    try {
      response = await fetch(endpoint, {
        method: 'POST',
        headers: {
          Accept: 'application/graphql-response+json, application/json;q=0.9',
          'Content-Type': 'application/json',
          ...(headers ?? (introspects ? firstHeaders : {})),
        },
        body: JSON.stringify({ query, operationName, variables }),
        redirect: 'error',
        referrerPolicy: 'no-referrer',
      });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return asErrors(`The request was not sent, or not answered: ${error.message}`);
    }
    return parse(response);
  };
}
