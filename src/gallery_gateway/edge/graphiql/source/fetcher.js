// Sends operations to the gateway, with the headers that the user sees in the editor. Beside them goes only
// `X-Gateway-Report`, which asks for the upstream calls that an operation made, or would make.
import { getOperationAST } from 'graphql';
import { createClient, NetworkError } from 'graphql-sse';

const REPORT = 'X-Gateway-Report';
const OPTIONS = { redirect: 'error', referrerPolicy: 'no-referrer' };

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

// As `fetch` itself reads an object of headers, but a header of the user replaces one of ours.
function joinHeaders(ours, headers) {
  const joined = new Headers(ours);
  for (const [name, value] of Object.entries(headers)) joined.set(name, value);
  return joined;
}

// report: `1` adds the calls to the response; `plan` answers with the plan, and no call is made.
export async function send({ endpoint, body, headers, report }) {
  try {
    const ours = {
      Accept: 'application/graphql-response+json, application/json;q=0.9',
      'Content-Type': 'application/json',
      ...(report && { [REPORT]: report }),
    };
    const sent = joinHeaders(ours, headers);
    // With a report of the user, the gateway would run the operation that was to be planned.
    if (report === 'plan') sent.set(REPORT, report);
    const options = { ...OPTIONS, method: 'POST', headers: sent, body: JSON.stringify(body) };
    return await parse(await fetch(endpoint, options));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return asErrors(`The request was not sent, or not answered: ${error.message}`);
  }
}

// The response to show when a stream was refused, or has ended early.
async function parseFailure(error) {
  if (error instanceof NetworkError && error.response) return parse(error.response);
  return asErrors(`The stream was not opened, or has ended early: ${error.message}`);
}

// Returns an observable, which GraphiQL stops at once; an async generator would wait for the next event first. It does
// not connect again by itself: the page shows what happens.
function subscribe({ endpoint, body, headers, onNext }) {
  const client = createClient({
    url: endpoint,
    headers: () => Object.fromEntries(joinHeaders({ [REPORT]: '1' }, headers)),
    retryAttempts: 0,
    fetchFn: (url, options) => fetch(url, { ...options, ...OPTIONS }),
  });
  return {
    subscribe(observer) {
      // What is still under way then must not be shown in the next tab.
      let isStopped = false;
      const unsubscribe = client.subscribe(body, {
        next(response) {
          if (isStopped) return;
          onNext(response);
          observer.next(response);
        },
        async error(error) {
          const failure = await parseFailure(error);
          if (isStopped) return;
          observer.next(failure);
          observer.complete();
        },
        complete() {
          if (!isStopped) observer.complete();
        },
      });
      return {
        unsubscribe() {
          isStopped = true;
          unsubscribe();
        },
      };
    },
  };
}

// firstHeaders go with the introspection that GraphiQL sends before its headers editor is there.
// onRun gets the name and the response of each operation of the user; onEvent those of each event of a subscription.
export function makeFetcher({ endpoint, firstHeaders, onRun, onEvent }) {
  return async function fetcher({ query, operationName, variables }, { headers, documentAST } = {}) {
    const body = { query, operationName, variables };
    const type = documentAST && getOperationAST(documentAST, operationName)?.operation;
    if (type === 'subscription') {
      const onNext = (response) => onEvent(operationName, response);
      return subscribe({ endpoint, body, headers: headers ?? {}, onNext });
    }
    const introspects = operationName === 'IntrospectionQuery';
    const response = await send({
      endpoint,
      body,
      headers: headers ?? (introspects ? firstHeaders : {}),
      report: introspects ? null : '1',
    });
    if (!introspects) onRun(operationName, response);
    return response;
  };
}
