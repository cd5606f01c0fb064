// What the programs that subscribe share. They print a line for each thing that happens, stop when a line comes on
// the standard input, and end when that is closed or the subscription is over.
import { createInterface } from "node:readline";

export type Result = { data?: unknown; errors?: readonly { extensions?: Record<string, unknown> }[] };

const print = (line: object) => console.log(JSON.stringify(line));

export const sink = {
  next({ data, errors }: Result): void {
    print(errors ? { errors: errors.map((error) => error.extensions?.["code"]) } : { data });
  },
  error(error: unknown): void {
    print({ failed: String(error) });
    process.stdin.destroy();
  },
  complete(): void {
    print({ complete: true });
    process.stdin.destroy();
  },
};

export function onStop(stop: () => void): void {
  createInterface(process.stdin).on("line", stop);
}
