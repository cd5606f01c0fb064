// The pane "REST calls": the calls that the operation in the editor would make, and those of the last run or event.
import { Button, useEditorContext, useExecutionContext } from '@graphiql/react';
import copyToClipboard from 'copy-to-clipboard';
import { useSyncExternalStore } from 'react';

import { send } from './fetcher.js';

const number = (value) => value.toLocaleString('en');
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
const kilobytes = (bytes) => `${number(Math.ceil(bytes / 1000))} KB`;
const countedCalls = (least, most) => (most > least ? `${number(least)} to ` : '') + counted(most, 'call');
const listed = (parts) => parts.filter(Boolean).join(', ');

// As the command `explain` words them.
const REASONS = {
  FETCHED: 'needs this page',
  SAME: 'makes the same request',
  CONTAINED: 'is a part of this page',
  LISTED: 'may be listed on this page',
};
const CONDITIONS = {
  UNLESS_CONTAINED: (calls) => `unless ${calls} contains the answer`,
  UNLESS_LISTED: (calls) => `unless ${calls} lists the project`,
  UNLESS_ALL_LISTED: (calls) => `unless ${calls} lists all projects`,
  NEXT_PAGES: (calls) => `as ${calls} says where the list goes on`,
};
const SOURCES = {
  merged: 'shared a call of this operation',
  collapsed: 'shared a call of another operation',
  hit: 'from the cache',
  stale: 'from the cache, stale',
  shared: 'from the cache of another process',
};

// The response names no host, so the base URL is a variable too. A query is encoded, and holds no quotes.
const asCurl = ({ path, query }) => `curl -H "Authorization: Bearer $TOKEN" "$API${path}?${query}"`;

function notesOnFields(fields) {
  const alike = new Map();
  // First the field that decides what is requested.
  const ordered = [...fields].sort((one, other) => (other.reason === 'FETCHED') - (one.reason === 'FETCHED'));
  for (const { key, reason, narrowed } of ordered) {
    const images = narrowed && `${number(narrowed.from)} to ${counted(narrowed.to, 'image')}`;
    const note = listed([REASONS[reason] ?? reason, images]);
    alike.set(note, [...(alike.get(note) ?? []), key]);
  }
  return [...alike].map(([note, keys]) => `${keys.join(', ')}: ${note}`);
}

function noteOnFurther({ fields, condition, atMost, after }) {
  const calls = after.map((index) => `call ${index + 1}`).join(' or ');
  // A newer gateway may know more conditions than a page that is still open.
  const when = CONDITIONS[condition]?.(calls) ?? `depending on ${calls || 'other calls'}`;
  return `${fields.join(', ')}: up to ${counted(atMost, 'more call')}, ${when}`;
}

const noteOnCall = ({ status, error, milliseconds, bytes }) =>
  listed([status ?? 'no response', error, `${number(Math.round(milliseconds))} ms`, kilobytes(bytes)]);

function Calls({ calls, notesOf, onCopy }) {
  return (
    <ol>
      {calls.map((call, index) => (
        <li key={index}>
          <pre>{asCurl(call)}</pre>
          <Button
            type="button"
            aria-label={`Copy call ${index + 1}`}
            onClick={() => onCopy(asCurl(call), `Call ${index + 1} is copied.`)}
          >
            Copy
          </Button>
          <Notes notes={notesOf(call)} />
        </li>
      ))}
    </ol>
  );
}

function Notes({ notes }) {
  if (notes.length === 0) return null;
  return (
    <ul>
      {notes.map((note, index) => (
        <li key={index}>{note}</li>
      ))}
    </ul>
  );
}

const nameOf = (operationName) => operationName ?? 'the operation';
const isRefused = ({ budgetLeft }) => budgetLeft.calls < 0 || budgetLeft.images < 0;

function Plan({ name, plan, onCopy }) {
  const { calls, further, bytes, maxCalls, maxImages, budgetLeft } = plan;
  // Calls above the budget are not made, so there are none to copy.
  if (isRefused(plan)) {
    return (
      <section aria-label="Plan">
        <h3>{`Plan of ${name}`}</h3>
        <p>{`It would need ${counted(calls.length, 'call')}, for at most ${counted(maxImages, 'image')}; it is refused.`}</p>
      </section>
    );
  }
  return (
    <section aria-label="Plan">
      <h3>{`Plan of ${name}`}</h3>
      <p>{`${countedCalls(calls.length, maxCalls)}, at most ${counted(maxImages, 'image')}, if nothing is cached.`}</p>
      <Calls calls={calls} notesOf={({ fields }) => notesOnFields(fields)} onCopy={onCopy} />
      <Notes notes={further.map(noteOnFurther)} />
      <p>
        {`The calls above bring about ${kilobytes(bytes)}. The budget leaves `}
        {`${counted(Math.max(0, budgetLeft.calls), 'call')} and ${counted(Math.max(0, budgetLeft.images), 'image')}.`}
      </p>
    </section>
  );
}

function Run({ name, noun, requests, onCopy }) {
  const made = requests.filter(({ outcome }) => outcome === 'miss');
  const spared = requests.filter(({ outcome }) => outcome !== 'miss');
  return (
    <section aria-label={`Last ${noun}`}>
      <h3>{`Last ${noun} of ${name}`}</h3>
      <Calls calls={made} notesOf={(call) => [noteOnCall(call)]} onCopy={onCopy} />
      {spared.length > 0 && <p>Answered without a call:</p>}
      <Notes notes={spared.map(({ query, outcome }) => `${query}: ${SOURCES[outcome] ?? outcome}`)} />
    </section>
  );
}

// Throws a SyntaxError that names the editor.
function parse(editor, title) {
  const text = editor?.getValue().trim();
  try {
    return text ? JSON.parse(text) : undefined;
  } catch (error) {
    throw new SyntaxError(`${title} are not valid JSON: ${error.message}`);
  }
}

function Icon(props) {
  return (
    <svg viewBox="0 0 20 20" {...props}>
      <path className="gateway-line-icon" d="M3 5l5 5-5 5M10 15h7" />
    </svg>
  );
}

// Shared by all that is shown, because GraphiQL forgets the state of a pane that it hides.
function openStore(state) {
  const listeners = new Set();
  return {
    get: () => state,
    set(changes) {
      state = { ...state, ...changes };
      listeners.forEach((listener) => listener());
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function openCalls({ endpoint }) {
  const store = openStore({ plan: null, run: null, status: '' });

  async function showPlan({ operationName = undefined, headers, ...body }) {
    const response = await send({ endpoint, headers, report: 'plan', body: { ...body, operationName } });
    const plan = response.extensions?.plan ?? null;
    // Each field above the budget has the same error.
    const messages = [...new Set((response.errors ?? []).map(({ message }) => message))];
    // If every field has an error, there is nothing to show but these.
    const isEmpty = !plan || (plan.calls.length === 0 && messages.length > 0);
    if (!isEmpty && !isRefused(plan)) messages.unshift(`The plan has ${countedCalls(plan.calls.length, plan.maxCalls)}.`);
    store.set({ plan: isEmpty ? null : { name: nameOf(operationName), plan }, status: messages.join(' ') });
  }

  // noun: `run`, or `event` of a subscription.
  function show(noun, operationName, response) {
    const { requests, calls } = response.extensions?.upstream ?? {};
    const name = nameOf(operationName);
    // The plan of another operation, as of another tab, does not belong to this run.
    const plan = store.get().plan?.name === name ? store.get().plan : null;
    if (!requests) return store.set({ plan, run: null, status: `The last ${noun} has no report.` });
    const made = requests.filter(({ outcome }) => outcome === 'miss').length;
    // `calls` counts a call once, whatever it took; each of its requests is listed.
    const inRequests = made > calls ? `, in ${counted(made, 'request')}` : '';
    const run = { name, noun, requests };
    return store.set({ plan, run, status: `The last ${noun} made ${counted(calls, 'call')}${inRequests}.` });
  }

  function RestCalls() {
    const { queryEditor, variableEditor, headerEditor } = useEditorContext({ nonNull: true });
    const { operationName } = useExecutionContext({ nonNull: true });
    const { plan, run, status } = useSyncExternalStore(store.subscribe, store.get);

    const onPlan = () => {
      try {
        showPlan({
          query: queryEditor.getValue(),
          variables: parse(variableEditor, 'Variables'),
          headers: parse(headerEditor, 'Headers') ?? {},
          operationName: operationName ?? queryEditor.operationName ?? undefined,
        });
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        store.set({ plan: null, status: error.message });
      }
    };
    const onCopy = (text, copied) => {
      copyToClipboard(text);
      store.set({ status: copied });
    };

    return (
      <section className="gateway-calls" aria-labelledby="gateway-calls-title">
        <h2 id="gateway-calls-title">REST calls</h2>
        <Button type="button" onClick={onPlan}>
          Plan this operation
        </Button>
        <p role="status">{status}</p>
        {plan && <Plan {...plan} onCopy={onCopy} />}
        {run && <Run {...run} onCopy={onCopy} />}
        <p>
          In the shell, <code>TOKEN</code> is your access token, and <code>API</code> the base URL of the REST API.
        </p>
      </section>
    );
  }

  return {
    plugin: { title: 'REST calls', icon: Icon, content: RestCalls },
    showRun: (operationName, response) => show('run', operationName, response),
    showEvent: (operationName, response) => show('event', operationName, response),
  };
}
