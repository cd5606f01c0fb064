// What the code on the page uses of Next.js, which is not installed here.
declare module "next/headers" {
  export function cookies(): Promise<{ get(name: string): { value: string } | undefined }>;
}
