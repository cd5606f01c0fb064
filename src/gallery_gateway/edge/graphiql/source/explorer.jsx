// The explorer plugin, made usable without a mouse: its fields and arguments are bare <span>s. Its inputs get names.
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { useEffect, useRef } from 'react';

const TOGGLES = '.graphiql-explorer-root span[style*="cursor: pointer"]';

const INPUTS = '.graphiql-explorer-root :is(input, select):not([aria-label])';

const nameInput = (input) => {
  const argument = input.closest('[data-arg-name]')?.dataset.argName;
  input.setAttribute('aria-label', argument ?? input.placeholder ?? 'Type of a new operation');
};

const makeReachable = (toggle) => {
  toggle.tabIndex = 0;
  toggle.setAttribute('role', 'button');
};

const press = (event) => {
  if (!event.target.matches(TOGGLES) || !['Enter', ' '].includes(event.key)) return;
  event.preventDefault();
  event.target.click();
};

const { content: Explorer, icon } = explorerPlugin();

function ReachableExplorer() {
  const root = useRef(null);

  useEffect(() => {
    const makeAllReachable = () => {
      root.current.querySelectorAll(TOGGLES).forEach(makeReachable);
      root.current.querySelectorAll(INPUTS).forEach(nameInput);
    };
    const observer = new MutationObserver(makeAllReachable);
    observer.observe(root.current, { childList: true, subtree: true });
    makeAllReachable();
    return () => observer.disconnect();
  }, []);

  return (
    <div ref={root} className="gateway-explorer" onKeyDown={press}>
      <Explorer />
    </div>
  );
}

export const explorer = { title: 'Explorer', icon, content: ReachableExplorer };
