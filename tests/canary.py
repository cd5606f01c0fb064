"""Checks that no made-up token leaks into anything that the test run produces, and counts what it checks.

All made-up tokens contain `MARK`. Checked are the responses to clients of the gateway, the output of servers
under test, and everything that a test leaves on standard output, on standard error and in its logs.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

MARK = "made-up-token"

# The sum over all processes of the run, once it has ended.
counted: Counter[str] = Counter()


class LeakError(AssertionError):
    """A token leaked; the message names the place and never shows the token."""


def look_at(what: str, content: str | bytes) -> None:
    """Count `content` as one `what`.

    Raises:
        LeakError: it contains a token.
    """
    counted[what] += 1
    text = content.decode("latin-1") if isinstance(content, bytes) else content
    if MARK in text:
        raise LeakError(f"a made-up token stands in {what}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    # The report of a failed test shows its values, which may be tokens.
    if report.when != "teardown" or report.failed:
        return
    for title, content in report.sections:
        try:
            look_at("captured outputs", content)
        except LeakError as exc:
            report.outcome = "failed"
            report.longrepr = f"{exc} ({title})"


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["counted"] = dict(counted)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    counted.update(getattr(node, "workeroutput", {}).get("counted", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if counted:
        summary = ", ".join(f"{count:,} {what}" for what, count in sorted(counted.items()))
        terminalreporter.write_line(f"looked at: {summary}")
