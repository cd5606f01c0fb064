// Starts GraphiQL on the page. The server writes the configuration into the `data-` attributes of its element.
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { openCalls } from './calls.jsx';
import { AccessibleEditors, SharedHeaders } from './editors.jsx';
import { examples } from './examples.js';
import { explorer } from './explorer.jsx';
import { makeFetcher } from './fetcher.js';
import { CopyLink } from './link.jsx';
import { Logo } from './logo.jsx';
import { openStorage } from './storage.js';
import { prepareTabs, takeLinkedOperation } from './tabs.js';
import './page.css';

const NEW_TAB = '# Ctrl-Space completes what you write,\n# Ctrl-Enter runs it.\n';

const container = document.getElementById('graphiql');
const { endpoint, token } = container.dataset;
const { title } = document;

const headers = JSON.stringify({ Authorization: `Bearer ${token || '<your access token>'}` }, null, 2);
const calls = openCalls({ endpoint });
const firstHeaders = token ? JSON.parse(headers) : {};
const fetcher = makeFetcher({ endpoint, firstHeaders, onRun: calls.showRun, onEvent: calls.showEvent });
const plugins = [explorer, calls.plugin];
const storage = openStorage();
prepareTabs(storage, { examples, linked: takeLinkedOperation() });

createRoot(container).render(
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
    <GraphiQL.Toolbar>
      {({ prettify, merge, copy }) => (
        <>
          {prettify}
          {merge}
          {copy}
          <CopyLink />
        </>
      )}
    </GraphiQL.Toolbar>
    <SharedHeaders first={headers} />
    <AccessibleEditors />
  </GraphiQL>,
);
