// Our mark and name, at the end of the tab bar. The mark is favicon.svg, in the text's colour.
export function Logo({ title }) {
  return (
    <span className="gateway-logo">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect className="gateway-logo-back" x="10" y="3" width="19" height="19" rx="3" />
        <rect className="gateway-logo-front" x="3" y="10" width="19" height="19" rx="3" />
        <path className="gateway-logo-hill" d="M6 25.5l5-6.5 3.5 4 2-2.3 3 4.8z" />
        <circle className="gateway-logo-sun" cx="16.5" cy="15.5" r="1.8" />
      </svg>
      <span className="gateway-logo-name">{title}</span>
    </span>
  );
}
