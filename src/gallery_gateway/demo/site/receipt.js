// What a view asked the graph, and the bill that came with the answer.
import { el, fromTemplate } from './dom.js';
import { bytes, count, counted, milliseconds } from './format.js';
import { callers, explorer } from './gateway.js';

// Shows one operation; the same receipt is written anew each time that the operation runs. `bill` is null
// as long as it did not run.
export function makeReceipt({ note = '' } = {}) {
  const { root, parts } = fromTemplate('receipt-template');
  return {
    root,
    update({ operation, bill, caller }) {
      const variables = JSON.stringify(operation.variables, null, 2);
      parts.name.textContent = operation.name;
      parts.bill.textContent = [note, ...briefly(bill)].filter(Boolean).join(' · ');
      parts.document.textContent = operation.document;
      parts.variables.textContent = variables;
      parts.lines.replaceChildren(...lines(bill));
      parts.open.hidden = explorer === null;
      // After the #, which no server ever sees.
      parts.open.href = `${explorer}#${new URLSearchParams({ query: operation.document, variables })}`;
      const isOther = explorer !== null && caller !== callers[0];
      parts.hint.textContent = isOther ? `There it asks as ${callers[0].name}, not as ${caller.name}.` : '';
    },
  };
}

function briefly(bill) {
  if (bill === null) return [];
  const { upstream, milliseconds: waited } = bill;
  if (upstream === null) return [milliseconds(waited)];
  const { calls, hits, collapsed, narrowed } = upstream;
  return [
    calls > 0 && counted(calls, 'upstream call'),
    hits > 0 && counted(hits, 'cache hit'),
    collapsed > 0 && `${count(collapsed)} collapsed`,
    narrowed && `narrowed ${count(narrowed.from)} → ${count(narrowed.to)} images`,
    upstream.bytes > 0 && bytes(upstream.bytes),
    milliseconds(waited),
  ].filter(Boolean);
}

function lines(bill) {
  if (bill === null) return [];
  const { upstream, bytes: answerBytes, milliseconds: waited } = bill;
  const line = (term, value) => el('div', {}, el('dt', {}, term), el('dd', {}, value));
  const answer = [
    line('Answer to this page', bytes(answerBytes)),
    line('Waited for it', milliseconds(waited)),
  ];
  if (upstream === null) return answer;
  const { narrowed } = upstream;
  return [
    line('Upstream calls', count(upstream.calls)),
    line('Cache hits', count(upstream.hits)),
    line('Collapsed into others', count(upstream.collapsed)),
    line('Merged fields', count(upstream.merged)),
    line('Images asked for', narrowed ? `${count(narrowed.to)} in place of ${count(narrowed.from)}` : 'all'),
    line('Read upstream', bytes(upstream.bytes)),
    line('Spent upstream', milliseconds(upstream.milliseconds)),
    ...answer,
  ];
}
