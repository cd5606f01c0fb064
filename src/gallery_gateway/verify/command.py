"""The command: settings and tokens in, a report out."""

import asyncio
import contextlib
import signal
import sys
from getpass import getpass

from gallery_gateway.app import create_app
from gallery_gateway.settings import Settings, SettingsError, verify_tokens
from gallery_gateway.telemetry import logs
from gallery_gateway.verify import fields, lifetimes, lists, parameters, promises, reachability
from gallery_gateway.verify.probe import Probe, Results, Verdict, run_probes
from gallery_gateway.verify.report import Report
from gallery_gateway.verify.session import Session, Token

# In the order in which they run. A report has its own order.
PROBES: tuple[Probe, ...] = (
    *reachability.FIRST,
    *fields.PROBES,
    *lists.PROBES,
    *parameters.PROBES,
    *promises.PROBES,
    *lifetimes.PROBES,
    *reachability.LAST,
)


def verify(settings: Settings, *, max_calls: int, with_links: bool) -> Report:
    """Run all probes that can run, until the end or Ctrl-C.

    Args:
        settings: those of the gateway.
        max_calls: of the REST API.
        with_links: whether a link is opened.

    Raises:
        SettingsError: a setting or a token is wrong.
    """
    logs.configure("debug" if settings.log_level == "debug" else "error", settings.log_format)
    # Finds what only the start of the gateway finds.
    create_app(settings)
    session = Session(settings, tokens=_tokens(), max_calls=max_calls, with_links=with_links)
    results: Results = {}
    is_interrupted = False
    try:
        asyncio.run(_run(session, results))
    except (KeyboardInterrupt, asyncio.CancelledError):
        is_interrupted = True
    return Report(
        PROBES,
        results,
        has_page=session.has_page,
        is_interrupted=is_interrupted,
        incomplete="it was interrupted" if is_interrupted else _incomplete(session, results),
        calls=session.calls,
    )


def _incomplete(session: Session, results: Results) -> str | None:
    """Return why not all that matters has a verdict, `None` if it has."""
    if session.ended is not None:
        return session.ended
    if not session.has(Token.OURS):
        return "there is no access token; set GALLERY_GATEWAY_VERIFY_TOKEN"
    if not session.has_page:
        return "the access token got no page"
    if not session.has_projects:
        return "the account has no projects"
    callers = results[promises.other_token]
    if session.has(Token.OTHER) and callers.verdict is Verdict.NOT_SEEN:
        return f"the callers could not be compared: {callers.evidence}"
    return None


def _tokens() -> dict[Token, str]:
    """Return the tokens of the environment, or else of a person at the terminal.

    Raises:
        SettingsError: a token cannot be sent in a header.
    """
    first, second = verify_tokens()
    if first is None and sys.stdin.isatty():
        try:
            first = getpass("Access token (it is not shown; empty for none): ").strip()
        except EOFError:
            # Ctrl-D leaves the cursor behind the prompt.
            print(file=sys.stderr)
    given = {Token.OURS: first, Token.OTHER: second}
    tokens = {name: token for name, token in given.items() if token}
    if not all(token.isascii() and token.isprintable() and " " not in token for token in tokens.values()):
        raise SettingsError("A token must be one word in ASCII, without Bearer.")
    return tokens


async def _run(session: Session, results: Results) -> None:
    task = asyncio.current_task()
    # Windows has no handlers of a loop.
    with contextlib.suppress(NotImplementedError):
        if task is not None:
            # As asyncio.run does it for SIGINT.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await run_probes(PROBES, session, results, progress=_show_progress)
    finally:
        _show_progress(None)
        await session.aclose()


def _show_progress(probe: Probe | None) -> None:
    """Overwrite one line of a terminal with the probe that runs, or with nothing.

    Elsewhere, print a line for each group.
    """
    number = PROBES.index(probe) if probe else 0
    if sys.stderr.isatty():
        line = f"{number + 1}/{len(PROBES)} {probe.id}" if probe else ""
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif probe and (number == 0 or PROBES[number - 1].group != probe.group):
        print(f"{number + 1}/{len(PROBES)} {probe.group}", file=sys.stderr, flush=True)
