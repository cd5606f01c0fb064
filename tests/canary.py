"""The canary: no made-up token comes out of anything that the whole run looks at; what was is counted.

All made-up tokens hold `MARK`. Looked at are the responses that clients of the gateway get, what the servers
under test print, and whatever a test leaves on standard output, standard error and in its logs.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

MARK = "made-up-token"

# Over all processes of the run, once it has ended.
counted: Counter[str] = Counter()


class LeakError(AssertionError):
    """A token came out; what it stood in is told, and never the token."""


def look_at(what: str, told: str | bytes) -> None:
    """Raises: LeakError: there is a token in it."""
    counted[what] += 1
    text = told.decode("latin-1") if isinstance(told, bytes) else told
    if MARK in text:
        raise LeakError(f"a made-up token stands in {what}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    # A failed test shows its values, and tokens among them.
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
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(counted.items()))
        terminalreporter.write_line(f"looked at: {told}")
