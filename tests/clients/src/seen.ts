// What each program prints for the tests: what its client has seen.
export type Seen = {
  total: number;
  listed: string[];
  images: number;
  walked: (number | string)[];
  refused: { code: unknown; argument: unknown };
  unauthenticated: unknown;
  [more: string]: unknown;
};

export const [url = "", token = ""] = process.argv.slice(2);
export const authorization = { authorization: `Bearer ${token}` };
export const SEARCH = "dress";

export function print(seen: Seen): void {
  console.log(JSON.stringify(seen));
}

export function known<Value>(value: Value | null | undefined): Value {
  if (value == null) throw new Error("the answer lacks a value");
  return value;
}
