// A receipt: the operation of a view, and what it cost.
import { el, fromTemplate } from './dom.js';
import { bytes, count, counted, milliseconds } from './format.js';
import { callers, explorer } from './gateway.js';

// Shows an operation, and is updated each time the operation runs. `cost` is null before the first run;
// `note` says how often it runs.
export function makeReceipt() {
  const { root, parts } = fromTemplate('receipt-template');
  let shown = null;

  const showOperation = (operation, caller) => {
    const variables = JSON.stringify(operation.variables, null, 2);
    parts.name.textContent = operation.name;
    parts.document.textContent = operation.document;
    parts.variables.textContent = variables;
    parts.open.hidden = explorer === null;
    // In the fragment, which is not sent to a server.
    parts.open.href = `${explorer}#${new URLSearchParams({ query: operation.document, variables })}`;
    const isOther = explorer !== null && caller !== callers[0];
    parts.hint.textContent = isOther ? `GraphiQL runs it as ${callers[0].name}, not as ${caller.name}.` : '';
  };

  return {
    root,
    update({ operation, cost, caller, note = '' }) {
      // Text that is replaced is no longer selected.
      if (shown?.document !== operation.document) showOperation(operation, caller);
      shown = operation;
      parts.cost.textContent = [note, ...briefly(cost)].filter(Boolean).join(' · ');
      parts.lines.replaceChildren(...lines(cost));
    },
  };
}

function briefly(cost) {
  if (cost === null) return [];
  const { upstream, milliseconds: waited } = cost;
  const time = waited !== null && milliseconds(waited);
  if (upstream === null) return [time];
  const { calls, hits, collapsed, narrowed } = upstream;
  return [
    calls > 0 && counted(calls, 'upstream call'),
    hits > 0 && counted(hits, 'cache hit'),
    collapsed > 0 && `${count(collapsed)} collapsed`,
    narrowed && `narrowed ${count(narrowed.from)} → ${count(narrowed.to)} images`,
    upstream.bytes > 0 && bytes(upstream.bytes),
    time,
  ];
}

function lines(cost) {
  if (cost === null) return [];
  const { upstream, bytes: answerBytes, milliseconds: waited } = cost;
  const line = (term, value) => el('div', {}, el('dt', {}, term), el('dd', {}, value));
  const answer = [line('Response to this page', bytes(answerBytes))];
  // An event has no waiting time.
  if (waited !== null) answer.push(line('Waiting time', milliseconds(waited)));
  if (upstream === null) return answer;
  const { narrowed } = upstream;
  return [
    line('Upstream calls', count(upstream.calls)),
    line('Cache hits', count(upstream.hits)),
    line('Collapsed into others', count(upstream.collapsed)),
    line('Merged fields', count(upstream.merged)),
    line('Images requested', narrowed ? `${count(narrowed.to)} instead of ${count(narrowed.from)}` : 'all'),
    line('Read upstream', bytes(upstream.bytes)),
    line('Time upstream', milliseconds(upstream.milliseconds)),
    ...answer,
  ];
}
