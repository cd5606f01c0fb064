"""The command: settings and tokens in, a report and an exit status out."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from gallery_gateway.settings import MEBIBYTE, Settings, SettingsError, verify_tokens
from gallery_gateway.telemetry import logs
from gallery_gateway.verify import lifetimes, reachability
from gallery_gateway.verify.probe import Probe, Results, Verdict, run_probes
from gallery_gateway.verify.reachability import right_token
from gallery_gateway.verify.report import Report
from gallery_gateway.verify.session import Session, Token

# In the order in which they run. A report has its own order.
PROBES: tuple[Probe, ...] = (*reachability.FIRST, *lifetimes.PROBES, *reachability.LAST)

# Of one response. The probes ask for pages of less than a tenth of it.
_MAX_BYTES = 16 * MEBIBYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    url: str | None = None
    as_json: bool = False
    save: Path | None = None
    max_calls: int = 60
    with_links: bool = False


def verify(options: Options) -> int:
    """Run all probes, print the report, and return the exit status.

    Raises:
        SettingsError: a setting or a token is wrong.
        OSError: the file for the evidence cannot be written.
    """
    overrides = {} if options.url is None else {"upstream_url": options.url}
    settings = Settings.read(**overrides)
    logs.configure("debug" if settings.log_level == "debug" else "error", settings.log_format)
    if options.save is not None:
        # Before any call: the evidence of a run must not be lost.
        options.save.open("a").close()
    tokens = _tokens()
    session = _session(settings, tokens, options)
    results: Results = {}
    is_interrupted = False
    try:
        asyncio.run(_run(session, results))
    except KeyboardInterrupt:
        is_interrupted = True
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    report = Report(
        PROBES,
        results,
        has_page=right_token in results and results[right_token].verdict is Verdict.HOLDS,
        incomplete="it was interrupted" if is_interrupted else _incomplete(session),
        calls=session.calls,
    )
    print(report.as_json() if options.as_json else report.as_text())
    if options.save is not None:
        options.save.write_text(report.as_evidence() + "\n", encoding="utf-8")
    if report.incomplete is not None:
        print(f"Not everything was verified: {report.incomplete}.", file=sys.stderr)
    return 130 if is_interrupted else report.status


def _incomplete(session: Session) -> str | None:
    if session.ended is None and not session.has(Token.OURS):
        return "there is no access token; set GALLERY_GATEWAY_VERIFY_TOKEN"
    return session.ended


def _tokens() -> dict[Token, str]:
    """Return the tokens of the environment, or else of a person at the terminal.

    Raises:
        SettingsError: a token cannot be sent in a header.
    """
    first, second = verify_tokens()
    if first is None and sys.stdin.isatty():
        first = getpass("Access token (it is not shown; empty for none): ").strip()
    given = {Token.OURS: first, Token.OTHER: second}
    tokens = {name: token for name, token in given.items() if token}
    if not all(token.isascii() and token.isprintable() and " " not in token for token in tokens.values()):
        raise SettingsError("A token must be one word in ASCII, without Bearer.")
    return tokens


def _session(settings: Settings, tokens: Mapping[Token, str], options: Options) -> Session:
    max_bytes = min(settings.upstream_max_bytes, _MAX_BYTES)
    return Session(
        settings.model_copy(update={"upstream_max_bytes": max_bytes}),
        tokens=tokens,
        max_calls=options.max_calls,
        with_links=options.with_links,
    )


async def _run(session: Session, results: Results) -> None:
    try:
        await run_probes(PROBES, session, results, progress=_show_progress)
    finally:
        await session.aclose()


def _show_progress(probe: Probe) -> None:
    """Overwrite one line of a terminal with the probe that runs."""
    if sys.stderr.isatty():
        line = f"{PROBES.index(probe) + 1}/{len(PROBES)} {probe.id}"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
