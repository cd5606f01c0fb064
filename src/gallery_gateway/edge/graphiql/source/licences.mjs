// The licences of every package that has code, styles or fonts in the bundle.
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const RULE = '='.repeat(80);
const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

// A few packages name their licence and leave out its text.
const mit = (holder) => `MIT License

Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`;

const holderOf = ({ name, author, contributors }) => {
  const [first] = [author, ...(contributors ?? [])].filter(Boolean);
  const holder = typeof first === 'string' ? first : first?.name;
  return holder?.replace(/\s*[<(].*$/, '') || `the authors of ${name}`;
};

async function textOf(folder, about) {
  const names = (await readdir(folder)).filter((name) => /^(licen[cs]e|notice)/i.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  if (texts.length > 0) return texts.map((text) => text.replaceAll('\r\n', '\n').trim()).join('\n\n');
  if (about.license === 'MIT') return mit(holderOf(about));
  throw new Error(`${about.name} has the licence ${about.license}, and not its text.`);
}

async function entryOf(folder) {
  const about = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const text = await textOf(folder, about);
  return { key: `${about.name} ${about.version}`, text: `${about.name} ${about.version} (${about.license})\n\n${text}` };
}

// bundled: the files that esbuild put into its outputs, as paths relative to the root.
export async function licencesOf(bundled, root) {
  const folders = new Set(bundled.map((path) => PACKAGE.exec(path)?.[1]).filter(Boolean));
  const named = [...folders].map((folder) => join(root, folder));
  const packages = named.filter((folder) => existsSync(join(folder, 'package.json')));
  const entries = await Promise.all(packages.map(entryOf));
  entries.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  const intro = 'GraphiQL as served by the gallery gateway contains the packages below.\n';
  return `${[intro, ...entries.map(({ text }) => `${text}\n`)].join(`\n${RULE}\n`)}`;
}
