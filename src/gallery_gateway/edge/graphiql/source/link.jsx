// Copies a link to the operation, in the form that `takeLinkedOperation` reads. It contains no headers.
import { ToolbarButton, useEditorContext } from '@graphiql/react';
import copyToClipboard from 'copy-to-clipboard';
import { useEffect, useState } from 'react';

const SHOWN_MILLISECONDS = 2000;

export function CopyLink() {
  const { queryEditor, variableEditor } = useEditorContext({ nonNull: true });
  const [copied, setCopied] = useState(0);

  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(0), SHOWN_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = () => {
    const fragment = new URLSearchParams({ query: queryEditor?.getValue() ?? '' });
    const variables = variableEditor?.getValue().trim();
    if (variables) fragment.set('variables', variables);
    copyToClipboard(`${window.location.origin}${window.location.pathname}#${fragment}`);
    setCopied((count) => count + 1);
  };

  return (
    <>
      <ToolbarButton onClick={copy} label="Copy link to this operation">
        <svg className="graphiql-toolbar-icon" viewBox="0 0 20 20" aria-hidden="true">
          <path
            className="gateway-line-icon"
            d={copied ? 'M4 10.5l4 4 8-9' : 'M8.5 11.5l3-3M9 6l2-2a3.5 3.5 0 015 5l-2 2M11 14l-2 2a3.5 3.5 0 01-5-5l2-2'}
          />
        </svg>
      </ToolbarButton>
      <span role="status" className="gateway-hidden">
        {copied ? 'The link is copied.' : ''}
      </span>
    </>
  );
}
