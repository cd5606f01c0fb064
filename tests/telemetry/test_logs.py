"""Logs: one line for an event, whatever its fields hold."""

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from gallery_gateway.gallery.caller import Caller
from gallery_gateway.telemetry import logs
from gallery_gateway.telemetry.logs import EventFormatter, LineWriter, log_event
from tests.logging_to import Written
from tests.telemetry.recording import call, operation


@pytest.fixture
def written() -> Written:
    """What the gateway logs from level info up, as people read it."""
    stream = Written()
    logs.configure("info", "text", stream=stream)
    return stream


def line_of(written: Written) -> str:
    """The line without its time."""
    return written.getvalue().split(" ", 1)[1]


def test_an_event_is_its_level_its_name_and_its_fields(written: Written) -> None:
    log_event("page.served", outcome="hit", count=0, stale=False)

    assert line_of(written) == "info page.served outcome=hit count=0 stale=False\n"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_field_without_a_value_is_left_out(form: logs.LogFormat) -> None:
    written = Written()
    logs.configure("info", form, stream=written)

    log_event("page.served", caller=None, reason="")

    assert "caller" not in written.getvalue()
    assert "reason" in written.getvalue()


def test_a_line_begins_with_its_time_to_the_millisecond(written: Written) -> None:
    log_event("page.served")

    moment = written.getvalue().split(" ")[0]
    assert len(moment) == len("2026-01-02T03:04:05.678Z")
    assert (moment[10], moment[19], moment[23]) == ("T", ".", "Z")


def test_seconds_have_four_decimals(written: Written) -> None:
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
def test_a_value_cannot_begin_a_line_or_a_field(written: Written, value: str) -> None:
    log_event("page.served", outcome=value, status=200)

    assert line_of(written) == f"info page.served outcome={value!r} status=200\n"


def test_what_is_below_the_level_is_not_logged(written: Written) -> None:
    log_event("page.served", level=logging.DEBUG)

    assert written.getvalue() == ""


def test_a_bug_is_logged_with_its_traceback(written: Written) -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError as exc:
        log_event("operation.bug", level=logging.ERROR, error=exc, request_id="r1")

    assert line_of(written).startswith(
        "error operation.bug request_id=r1\nTraceback (most recent call last):\n"
    )
    assert written.getvalue().endswith("ZeroDivisionError: integer division or modulo by zero\n")


def test_an_event_without_an_error_has_no_traceback(written: Written) -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        log_event("operation.error")

    assert line_of(written) == "info operation.error\n"


def test_the_lines_of_uvicorn_look_the_same(written: Written) -> None:
    logging.getLogger("uvicorn.error").warning("Started %s", "well")

    assert line_of(written) == "warning Started well\n"


def test_lines_go_to_standard_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.configure("info")

    log_event("page.served")
    logging.getLogger("gallery_gateway").handlers[0].flush()

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


class Terminal(Written):
    def isatty(self) -> bool:
        return True


def test_people_at_a_terminal_read_text_and_everything_else_reads_json() -> None:
    terminal, pipe = Terminal(), Written()

    for stream in (terminal, pipe):
        logs.configure("info", "auto", stream=stream)
        log_event("page.served")
        stream.getvalue()

    assert line_of(terminal) == "info page.served\n"
    assert pipe.lines()[0]["event"] == "page.served"


def test_a_json_line_has_time_level_event_and_fields(as_json: Written) -> None:
    log_event("page.served", outcome="hit", seconds=0.002)

    (line,) = as_json.lines()
    assert len(line.pop("time")) == len("2026-01-02T03:04:05.678Z")
    assert line == {
        "level": "info",
        "event": "page.served",
        "outcome": "hit",
        "seconds": 0.002,
    }


def test_a_bug_is_one_json_line_with_its_traceback_in_it(as_json: Written) -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError as exc:
        log_event("operation.bug", level=logging.ERROR, error=exc, request_id="r1")

    (line,) = as_json.lines()
    assert (line["level"], line["event"], line["request_id"]) == ("error", "operation.bug", "r1")
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith("ZeroDivisionError: integer division or modulo by zero")


def test_the_lines_of_uvicorn_are_json_too(as_json: Written) -> None:
    logging.getLogger("uvicorn.error").warning("Started %s", "well")

    (line,) = as_json.lines()
    assert (line["level"], line["event"], line["message"]) == ("warning", "uvicorn.error", "Started well")


def test_an_operation_is_one_line_without_what_is_nothing(as_json: Written) -> None:
    events = logs.configure("info", "json", stream=as_json)

    events.operation_ended(operation("Dashboard", caller="0badcafe", status=200, bytes=120, hits=2))

    (line,) = as_json.lines()
    del line["time"]
    assert line == {
        "level": "info",
        "event": "operation.served",
        "request_id": "r1",
        "method": "POST",
        "caller": "0badcafe",
        "operation": "Dashboard",
        "kind": "query",
        "outcome": "ok",
        "status": 200,
        "seconds": 0.002,
        "bytes": 120,
        "hits": 2,
    }


def test_an_operation_is_one_line_of_text(written: Written) -> None:
    events = logs.configure("info", "text", stream=written)

    events.operation_ended(operation("Dashboard", outcome="error", codes=("FORBIDDEN", "RATE_LIMITED")))

    assert line_of(written) == (
        "info operation.served request_id=r1 method=POST operation=Dashboard kind=query outcome=error"
        " codes=FORBIDDEN,RATE_LIMITED seconds=0.0020\n"
    )


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_a_call_is_logged_at_its_level(as_json: Written, level: str) -> None:
    events = logs.configure("info", "json", stream=as_json)

    events.call_ended(call(request_id="r1"), log_level=getattr(logging, level.upper()))

    (line,) = as_json.lines()
    assert (line["event"], line["level"], line["outcome"]) == ("upstream.called", level, "ok")


def test_from_level_warning_up_there_is_nothing_of_what_went_well() -> None:
    stream = Written()
    events = logs.configure("warning", "json", stream=stream)

    events.operation_ended(operation())
    events.call_ended(call())
    events.call_ended(call(outcome="UPSTREAM_TIMEOUT"), log_level=logging.WARNING)

    assert [line["level"] for line in stream.lines()] == ["warning"]
    assert not events.logs_operations


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "value",
    [{"authorization": "canary"}, ["canary"], b"canary", ValueError("canary"), Caller("canary", secret=b"s")],
)
def test_of_what_is_no_plain_value_the_type_alone_is_told(form: logs.LogFormat, value: Any) -> None:
    stream = Written()
    logs.configure("info", form, stream=stream)

    log_event("page.served", who=value)

    line = stream.getvalue()
    assert f"<{type(value).__name__}>" in line
    assert "canary" not in line
    assert "Y2FuYXJ5" not in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_neither_is_more_told_of_an_object_in_a_record(form: logs.LogFormat) -> None:
    stream = Written()
    events = logs.configure("info", form, stream=stream)
    name: Any = ValueError("canary")

    events.operation_ended(operation(name))

    assert "operation" in (line := stream.getvalue())
    assert "<ValueError>" in line
    assert "canary" not in line


def test_lines_come_out_in_their_order_whichever_thread_they_came_from() -> None:
    stream = io.StringIO()
    lines = LineWriter(stream)

    def write(name: str) -> None:
        for number in range(500):
            lines.write(f"{name} {number}\n".encode())

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.flush()

    printed = stream.getvalue().splitlines()
    for name in "ab":
        assert [line for line in printed if line[0] == name] == [f"{name} {number}" for number in range(500)]


def test_lines_are_written_without_being_asked_for() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        lines = LineWriter(stream)

        for text in (b"first\n", b"second\n"):
            lines.write(text)
            assert reader.readline().encode() == text
        lines.close()


def test_a_reader_that_stalls_holds_up_nobody_and_costs_lines() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        lines = LineWriter(stream, max_waiting=1000)

        # Far more than a pipe holds: a direct write would block here.
        for _ in range(3000):
            lines.write(b"x" * 999 + b"\n")
        dropped = lines.dropped
        closing = threading.Thread(target=lines.close)
        closing.start()
        printed = [reader.readline() for _ in range(3000 - dropped)]
        closing.join()

    assert 0 < dropped < 3000
    assert set(printed) == {"x" * 999 + "\n"}


def test_a_stream_that_was_closed_costs_lines_and_nothing_else() -> None:
    stream = io.StringIO()
    lines = LineWriter(stream)
    stream.close()

    lines.write(b"x\n")
    lines.flush()

    assert lines.dropped == 1


# In a process of its own: warnings and the root logger belong to pytest here.
_LIBRARIES = """
import asyncio, gc, logging, warnings
from gallery_gateway import Settings, create_app

async def forgotten():
    raise RuntimeError("unexpected \\ud800")

async def run():
    task = asyncio.ensure_future(forgotten())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()

create_app(Settings.read(_env_file=None), owns_process=True)
for name in ("opentelemetry.sdk.trace.export", "urllib3.connectionpool", "redis", "any.other"):
    logging.getLogger(name).debug("hidden")
    logging.getLogger(name).info("hidden")
    logging.getLogger(name).warning("Failed: %s\\nagain", name)
    logging.getLogger(name).error("Failed: \\ud800")
logging.getLogger("any.other").error("%d", "no number")
warnings.warn("old")
asyncio.run(run())
"""


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_whatever_a_library_logs_is_one_json_line_at_its_level(level: str) -> None:
    environment = {**os.environ, "GALLERY_GATEWAY_LOG_LEVEL": level}
    ended = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", _LIBRARIES], env=environment, capture_output=True, text=True, check=True
    )

    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    found = Counter((line["event"], line["level"]) for line in lines if line["message"])
    names = ["opentelemetry.sdk.trace.export", "urllib3.connectionpool", "redis", "any.other"]
    errors = Counter({(name, "error"): 1 for name in [*names, "asyncio"]}) + Counter([("any.other", "error")])
    warnings = Counter({(name, "warning"): 1 for name in [*names, "py.warnings"]})
    assert found == (errors if level == "error" else errors + warnings)
    assert "hidden" not in ended.stderr
    assert "no number" not in ended.stderr
    assert r"RuntimeError: unexpected \ud800" in lines[-1]["traceback"]
