"""Logs: one line for an event, whatever its fields hold."""

import io
import logging
from collections.abc import Iterator

import pytest

from gallery_gateway.telemetry import logs
from gallery_gateway.telemetry.logs import EventFormatter, log_event


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[io.StringIO]:
    """What the gateway logs from level info up, formatted as it is in production."""
    logs.configure("info")
    stream = io.StringIO()
    for name in ("gallery_gateway", "uvicorn"):
        (handler,) = logging.getLogger(name).handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
    yield stream
    for name in ("gallery_gateway", "uvicorn"):
        logging.getLogger(name).handlers = []
    assert capsys.readouterr().err == ""


def told(written: io.StringIO) -> str:
    """The line without its time."""
    return written.getvalue().split(" ", 1)[1]


def test_an_event_is_its_level_its_name_and_its_fields(written: io.StringIO) -> None:
    log_event("page.served", outcome="hit", count=3, stale=False, caller=None)

    assert told(written) == "info page.served outcome=hit count=3 stale=False caller=None\n"


def test_a_line_begins_with_its_time_to_the_millisecond(written: io.StringIO) -> None:
    log_event("page.served")

    moment = written.getvalue().split(" ")[0]
    assert len(moment) == len("2026-01-02T03:04:05.678Z")
    assert (moment[10], moment[19], moment[23]) == ("T", ".", "Z")


def test_seconds_have_four_decimals(written: io.StringIO) -> None:
    log_event("page.served", seconds=0.00123456)

    assert "seconds=0.0012\n" in written.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        "a\nb",
        "a\r\nerror forged",
        "a b",
        "a\x1b[31mb",
        "a\u2028b",
        "a\u202eb",
        "a\x00b",
        "a\ud800b",
        "a\u00a0b",
        "a\tb",
    ],
)
def test_a_value_cannot_begin_a_line_or_a_field(written: io.StringIO, value: str) -> None:
    log_event("page.served", outcome=value, status=200)

    assert told(written) == f"info page.served outcome={value!r} status=200\n"


def test_what_is_below_the_level_is_not_logged(written: io.StringIO) -> None:
    log_event("page.served", level=logging.DEBUG)

    assert written.getvalue() == ""


def test_a_bug_is_logged_with_its_traceback(written: io.StringIO) -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError as exc:
        log_event("operation.bug", level=logging.ERROR, error=exc, request_id="r1")

    assert told(written).startswith("error operation.bug request_id=r1\nTraceback (most recent call last):\n")
    assert written.getvalue().endswith("ZeroDivisionError: integer division or modulo by zero\n")


def test_an_event_without_an_error_has_no_traceback(written: io.StringIO) -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        log_event("operation.error")

    assert told(written) == "info operation.error\n"


def test_the_lines_of_uvicorn_look_the_same(written: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("Started %s", "well")

    assert told(written) == "warning Started well\n"


def test_lines_go_to_standard_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.configure("info")

    log_event("page.served")

    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("page.served")) == ("", 1)


def test_lines_are_not_given_to_loggers_above(caplog: pytest.LogCaptureFixture) -> None:
    logs.configure("info")

    log_event("page.served")

    assert caplog.records == []


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_every_level_of_the_settings_is_known(level: str) -> None:
    logs.configure(level)

    assert logging.getLogger("gallery_gateway").level == logging.getLevelName(level.upper())


def test_a_formatter_writes_records_of_others_too() -> None:
    record = logging.LogRecord("other", logging.INFO, __file__, 1, "text", None, None)

    assert EventFormatter().format(record).endswith(" info text")
