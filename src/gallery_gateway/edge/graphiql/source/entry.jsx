// Starts GraphiQL on the page, with what the server wrote into it.
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { SharedHeaders, TabLeavesEditors } from './editors.jsx';
import { examples } from './examples.js';
import { explorer } from './explorer.jsx';
import { makeFetcher } from './fetcher.js';
import { Logo } from './logo.jsx';
import { openStorage } from './storage.js';
import { prepareTabs, takeLinkedOperation } from './tabs.js';
import './page.css';

const NEW_TAB = '# Ctrl-Space completes what you write,\n# Ctrl-Enter runs it.\n';

const { endpoint, token, title } = JSON.parse(document.getElementById('config').textContent);
document.title = title;

const headers = JSON.stringify({ Authorization: `Bearer ${token ?? '<your access token>'}` }, null, 2);
const fetcher = makeFetcher({ endpoint, firstHeaders: token ? JSON.parse(headers) : {} });
const plugins = [explorer];
const storage = openStorage();
prepareTabs(storage, { examples, linked: takeLinkedOperation() });

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    storage={storage}
    plugins={plugins}
    defaultHeaders={headers}
    defaultQuery={NEW_TAB}
    defaultEditorToolsVisibility={token ? 'variables' : 'headers'}
    inputValueDeprecation
    schemaDescription
    shouldPersistHeaders={false}
  >
    <GraphiQL.Logo>
      <Logo title={title} />
    </GraphiQL.Logo>
    <SharedHeaders first={headers} />
    <TabLeavesEditors />
  </GraphiQL>,
);
