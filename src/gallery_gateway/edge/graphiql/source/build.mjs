// Builds ../static from this folder: `npm ci && node build.mjs [--out FOLDER]`. Same input, same bytes.
//
// index.html is a template with two placeholders, which the server fills in:
//
//   ${root}   the way from the page to the root of the gateway, such as `../`; empty for a page at /graphql.
//             All addresses are relative, so that the page works behind a prefix.
//   ${token}  a token that the headers editor starts with, for the demo only; empty otherwise.
//
// For that reason index.html is not compressed here.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import * as esbuild from 'esbuild';
import pako from 'pako';

import { licencesOf } from './licences.mjs';

const SOURCE = import.meta.dirname;
const { values: options } = parseArgs({
  options: { out: { type: 'string', default: join(SOURCE, '..', 'static') } },
});

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// zlib's own output differs between versions and processors; pako's does not.
const gzip = (bytes) => pako.gzip(bytes, { level: 9, header: { time: 0, os: 255 } });

// What is not right in the packages for us: which files, and for each what is there and what goes in its place.
const REWRITES = [
  // Fonts as data:, which `font-src 'self'` forbids. fonts.css has them as files.
  [/graphiql[\\/]dist[\\/]style\.css$/, [/@font-face\s*\{[^}]*\}/g, '']],
  // Style attributes, which `style-src 'self'` forbids. page.css has the same rules.
  [/codemirror[\\/]addon[\\/]search[\\/]search\.js$/, [/"?style"?: "[^"]*", /g, '']],
  [/codemirror[\\/]addon[\\/]search[\\/]jump-to-line\.js$/, [/ style="[^"]*"/g, '']],
  // The search of the documentation says Ctrl K, and listens to a Mac's Cmd K alone. The page of a field has no search.
  [
    /plugin-doc-explorer[\\/]dist[\\/]components[\\/]search\.js$/,
    [
      'if (event.metaKey && event.key === "k") {',
      'if ((event.metaKey || event.ctrlKey) && event.key === "k") {\nevent.preventDefault();',
    ],
    ['inputRef.current.focus();', 'inputRef.current?.focus();'],
  ],
  // A tab that contains a button to close it is no tab for screen readers, so the tabs are a list of buttons.
  [
    /react[\\/]dist[\\/]ui[\\/]tabs\.js$/,
    ['"aria-selected": isActive, role: "tab", ', ''],
    ['role: "tablist", ', ''],
  ],
  [
    /graphiql[\\/]dist[\\/]GraphiQL\.js$/,
    ['"aria-controls": "graphiql-session"', '"aria-current": index_3 === activeTabIndex'],
    ['role: "tabpanel"', 'role: "region"'],
  ],
  // Its accessible name says nothing about the operation.
  [/plugin-history[\\/]dist[\\/]components\.js$/, ['"aria-label": "Set active", ', '']],
];

const rewrites = {
  name: 'rewrites',
  setup({ onLoad }) {
    for (const [filter, ...replaced] of REWRITES) {
      onLoad({ filter }, async ({ path }) => {
        let contents = await readFile(path, 'utf8');
        for (const [old, replacement] of replaced) {
          const text = contents;
          contents = text.replace(old, replacement);
          if (contents === text) throw new Error(`${path} has no ${old} to rewrite any more.`);
        }
        return { contents, loader: path.endsWith('.css') ? 'css' : 'js' };
      });
    }
  },
};

async function bundle() {
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: SOURCE,
    entryPoints: { app: 'entry.jsx' },
    bundle: true,
    minify: true,
    // GraphiQL makes the titles of its icons out of the names of functions.
    keepNames: true,
    metafile: true,
    write: false,
    outdir: 'out',
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    alias: { 'react-style-singleton': './constructed-style.js' },
    loader: { '.woff2': 'file' },
    plugins: [rewrites],
    entryNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    legalComments: 'none',
    logLevel: 'warning',
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  const bundled = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  return { files, bundled };
}

async function page(files) {
  const favicon = await readFile(join(SOURCE, 'favicon.svg'));
  const names = {
    script: [...files.keys()].find((name) => name.endsWith('.js')),
    style: [...files.keys()].find((name) => name.endsWith('.css')),
    favicon: `favicon-${sha256(favicon).slice(0, 8).toUpperCase()}.svg`,
  };
  files.set(names.favicon, favicon);
  const template = await readFile(join(SOURCE, 'page.html'), 'utf8');
  return Buffer.from(template.replace(/\{\{(\w+)\}\}/g, (_, name) => names[name]));
}

// What the bundle was made of, so that a test can tell whether ../static belongs to this folder.
async function sourceHashes() {
  const entries = await readdir(SOURCE, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
  return Promise.all(names.map(async (name) => [name, sha256(await readFile(join(SOURCE, name)))]));
}

async function build() {
  const { files, bundled } = await bundle();
  files.set('index.html', await page(files));
  files.set('LICENSES.txt', Buffer.from(await licencesOf(bundled, SOURCE)));
  for (const [name, bytes] of [...files]) {
    if (/\.(js|css)$/.test(name)) files.set(`${name}.gz`, gzip(bytes));
  }
  const hashes = [...files].map(([name, bytes]) => [name, sha256(bytes)]).sort();
  const manifest = { files: Object.fromEntries(hashes), source: Object.fromEntries(await sourceHashes()) };
  files.set('manifest.json', Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
  return files;
}

const out = resolve(options.out);
const files = await build();
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
for (const [name, bytes] of files) await writeFile(join(out, name), bytes);
for (const [name, bytes] of files) console.log(`${String(bytes.length).padStart(9)}  ${name}`);
