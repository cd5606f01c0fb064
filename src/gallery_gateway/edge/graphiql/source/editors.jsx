// What our page adds to GraphiQL's editors.
import { useEditorContext } from '@graphiql/react';
import { useEffect, useRef } from 'react';

const asJson = (text) => {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text;
  }
};

// One set of headers for all tabs: a token is pasted once. GraphiQL itself keeps headers for each tab,
// and empties the editor when an operation is taken from the history, where we keep none.
export function SharedHeaders({ first }) {
  const { headerEditor } = useEditorContext({ nonNull: true });
  const shared = useRef(first);

  useEffect(() => {
    if (!headerEditor) return undefined;
    const share = (editor, changes) => {
      const text = editor.getValue();
      const isTabChange = changes.some(({ origin }) => origin === 'setValue');
      // Prettify also sets the whole value, but to the same headers.
      if (!isTabChange || asJson(text) === asJson(shared.current)) shared.current = text;
      else editor.setValue(shared.current);
    };
    headerEditor.on('changes', share);
    return () => headerEditor.off('changes', share);
  }, [headerEditor]);

  return null;
}

// Names for screen readers. And Tab moves on to the next control: CodeMirror would take it as a character, and a
// keyboard could enter an editor but never leave it.
export function AccessibleEditors() {
  const { queryEditor, variableEditor, headerEditor, responseEditor } = useEditorContext({
    nonNull: true,
  });

  useEffect(() => {
    const named = [
      [queryEditor, 'GraphQL document'],
      [variableEditor, 'Variables as JSON'],
      [headerEditor, 'Headers as JSON'],
      [responseEditor, 'Response as JSON'],
    ].filter(([editor]) => editor);
    const keyMap = { Tab: false, 'Shift-Tab': false };
    for (const [editor, name] of named) {
      editor.addKeyMap(keyMap);
      editor.getInputField().setAttribute('aria-label', name);
      // A keyboard reaches what has to be scrolled.
      editor.getScrollerElement().tabIndex = 0;
    }
    return () => named.forEach(([editor]) => editor.removeKeyMap(keyMap));
  }, [queryEditor, variableEditor, headerEditor, responseEditor]);

  return null;
}
