// Formats numbers and dates for people.

const DAY = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long' });
const COUNT = new Intl.NumberFormat('en-GB');

export const count = (number) => COUNT.format(number ?? 0);

export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function day(text) {
  const moment = new Date(text ?? '');
  return Number.isNaN(moment.getTime()) ? (text ?? '') : DAY.format(moment);
}

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  if (number < 1_000_000) return `${(number / 1000).toPrecision(number < 100_000 ? 2 : 3)} kB`;
  return `${(number / 1_000_000).toFixed(1)} MB`;
}

export const milliseconds = (number) => `${number < 10 ? number.toFixed(1) : Math.round(number)} ms`;

export const byline = ({ createdAt, createdBy }) =>
  [day(createdAt), createdBy && `by ${createdBy}`].filter(Boolean).join(' · ');
