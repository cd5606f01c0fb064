"""Logs: an event name and its fields on one line, as JSON or, for people, as text.

As text, a line reads `upstream.called outcome=ok seconds=0.021`. Nothing here formats a token: callers appear
as the short fingerprint that `Caller` gives, and URLs, headers and bodies are never fields.

Events and the lines of libraries go through `logging`. The lines of operations and calls do not:
`QueueHandler` takes 11.5 µs for a line, and `EventLog`, which makes no `LogRecord`, 1.5 µs.
"""

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, TextIO, cast

import msgspec

from gallery_gateway.telemetry.counters import Values
from gallery_gateway.telemetry.records import SUBSCRIPTION, CallRecord, OperationRecord

# Lines kept for a reader that has stalled. A line has some 300 bytes.
_MAX_WAITING = 20_000


class LineWriter:
    """Writes lines in their order, in a thread of its own; taking a line costs an append.

    Attributes:
        dropped: the number of lines lost because the reader was too slow, or the stream was closed.
    """

    def __init__(self, stream: TextIO, *, max_waiting: int = _MAX_WAITING) -> None:
        self.stream = stream
        self.dropped = 0
        self._max_waiting = max_waiting
        self._waiting: deque[bytes] = deque()
        self._is_closed = False
        self._wake = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log-lines", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Take one line, including its newline, from any thread."""
        if len(self._waiting) >= self._max_waiting:
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write the waiting lines, unless the reader has stalled for two seconds."""
        if self._writing.acquire(timeout=2.0):
            try:
                self._write_waiting()
            finally:
                self._writing.release()

    def close(self) -> None:
        self._is_closed = True
        self._wake.set()
        self.flush()

    def _run(self) -> None:
        while not self._is_closed:
            self._wake.wait()
            # Collect lines for a moment: a system call costs more than a line.
            time.sleep(0.0 if self._is_closed else 0.05)
            # Clear before the lines are taken: a line added from here on wakes the thread again.
            self._wake.clear()
            with self._writing:
                self._write_waiting()

    def _write_waiting(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            self.stream.write(b"".join(lines).decode(errors="backslashreplace"))
            self.stream.flush()
        # The stream is closed or the disk is full: there is no other place to report it.
        except (OSError, ValueError):
            self.dropped += len(lines)


LogFormat = Literal["auto", "json", "text"]
"""`auto` is text on a terminal, and JSON elsewhere."""

Value = str | int | float | bool | None
"""A field's value. Other types are not shown, because their `str` could contain anything."""

_logger = logging.getLogger("gallery_gateway")


def _safe(value: object) -> Value:
    """Return a plain value, or else the name of its type."""
    if value is None or type(value) in {str, int, float, bool}:
        return cast("Value", value)
    return f"<{type(value).__name__}>"


_encode = msgspec.json.Encoder(enc_hook=_safe).encode


def _encodable(text: str) -> str:
    """Escape lone surrogates, which UTF-8 cannot express."""
    return text.encode(errors="backslashreplace").decode()


class _Event(NamedTuple):
    """The message of an event, which any formatter shows as text."""

    name: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        return self.name + "".join(f" {name}={_shown(value)}" for name, value in self.fields.items())


class EventFormatter(logging.Formatter):
    """Formats time, level, event name and `key=value` fields."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        return _text(record.created, record.levelname, record.message)


class JSONFormatter(logging.Formatter):
    """Formats one JSON object, which includes the traceback; the lines of libraries have a `message`."""

    def format(self, record: logging.LogRecord) -> str:
        # A message of logging may be any object.
        message: object = record.msg
        event = message if isinstance(message, _Event) else None
        line = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "event": event.name if event else record.name,
        }
        fields = event.fields if event else {"message": _encodable(record.getMessage())}
        trace = {"traceback": _encodable(self.formatException(record.exc_info))} if record.exc_info else {}
        return _encode({**line, **fields, **trace}).decode()


class LineHandler(logging.Handler):
    """Passes formatted records to a writer; `logging` flushes it at the end of the process."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # the boundary: a library's arguments may not fit its message
            record.msg, record.args = "A message that cannot be formatted.", None
            line = self.format(record)
        self.lines.write(f"{line}\n".encode(errors="backslashreplace"))

    def flush(self) -> None:
        self.lines.flush()


class EventLog:
    """An observer that writes a line for each query and each upstream call.

    Failures of the REST API are warnings; everything else is logged at level info.

    Args:
        level: the lowest level that is logged.
    """

    def __init__(self, lines: LineWriter, *, level: int, is_json: bool) -> None:
        self.lines = lines
        self._level = level
        self._is_json = is_json

    def gauges(self) -> Values:
        return {("log_lines_dropped_total", ()): self.lines.dropped}

    @property
    def logs_operations(self) -> bool:
        return self._level <= logging.INFO

    def operation_ended(self, record: OperationRecord) -> None:
        if self.logs_operations and record.kind != SUBSCRIPTION:
            self._write("info", "operation.served", record)

    def call_ended(self, record: CallRecord, *, log_level: int = logging.INFO) -> None:
        """Log a call at `log_level`, which the error table of `gallery_gateway.errors` decides."""
        if self._level <= log_level:
            self._write(logging.getLevelName(log_level).lower(), "upstream.called", record)

    def _write(self, level: str, event: str, record: msgspec.Struct) -> None:
        now = time.time()
        if self._is_json:
            head = _json_head(int(now), level, event)
            self.lines.write(head % (now % 1 * 1000, _encode(record)[1:]))
        else:
            self.lines.write(f"{_text(now, level, _Event(event, _fields_of(record)))}\n".encode())


class LoggedEvents:
    """An observer that logs operations and upstream calls as the process has configured `logging`.

    The fields of an event are in the message, and as a mapping in the attribute `fields` of the record.
    """

    def operation_ended(self, record: OperationRecord) -> None:
        if record.kind != SUBSCRIPTION:
            self._log("operation.served", logging.INFO, record)

    def call_ended(self, record: CallRecord, *, log_level: int = logging.INFO) -> None:
        self._log("upstream.called", log_level, record)

    def _log(self, event: str, level: int, record: msgspec.Struct) -> None:
        if _logger.isEnabledFor(level):
            _log(_Event(event, _fields_of(record)), level)


def configure(level: str, form: LogFormat = "auto", *, stream: TextIO | None = None) -> EventLog:
    """Send the lines of the gateway and uvicorn, and warnings of other libraries, to `stream`.

    By default, that is standard error.
    """
    stream = stream or sys.stderr
    is_json = form == "json" or (form == "auto" and not stream.isatty())
    handler = LineHandler(_writer_to(stream))
    handler.setFormatter(JSONFormatter() if is_json else EventFormatter())
    handler.addFilter(_is_no_cancellation)
    handler.setLevel(level.upper())
    # The root logger stays at level warning: below, libraries such as urllib3 log URLs.
    root = logging.getLogger()
    root.handlers = [*(each for each in root.handlers if not isinstance(each, LineHandler)), handler]
    logging.captureWarnings(capture=True)
    for name in ("gallery_gateway", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False
    return EventLog(handler.lines, level=_logger.level, is_json=is_json)


def log_event(
    event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Value
) -> None:
    """Log one event without the fields that are `None`; `error` adds its traceback, and is for bugs only."""
    if _logger.isEnabledFor(level):
        given = {name: _safe(value) for name, value in fields.items() if value is not None}
        _log(_Event(event, given), level, error)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Return False for the traceback that uvicorn logs of a request that it cancels itself at its end.

    The line of the operation says so.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _log(event: _Event, level: int, error: BaseException | None = None) -> None:
    _logger.log(level, event, exc_info=error, extra={"fields": event.fields})


def _fields_of(record: msgspec.Struct) -> Mapping[str, object]:
    fields: Mapping[str, object] = msgspec.to_builtins(record, enc_hook=_safe)
    return fields


def _writer_to(stream: TextIO) -> LineWriter:
    """Return the writer in use, or a new one if that writes to another stream."""
    for handler in _logger.handlers:
        if isinstance(handler, LineHandler):
            if handler.lines.stream is stream:
                return handler.lines
            handler.lines.close()
    return LineWriter(stream)


def _text(seconds: float, level: str, message: object) -> str:
    return f"{_timestamp(seconds)} {level.lower()} {message}"


def _timestamp(seconds: float) -> str:
    """Return the time in UTC, to the millisecond."""
    return f"{_date_and_time(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


# Levels and events are few, and lines of one second come one after the other.
@lru_cache(maxsize=16)
def _json_head(seconds: int, level: str, event: str) -> bytes:
    """Return the beginning of a line as JSON, into which milliseconds and the fields are formatted."""
    return b'{"time":"%b.%%03dZ","level":"%b","event":"%b",%%b\n' % (
        _date_and_time(seconds).encode(),
        level.encode(),
        event.encode(),
    )


@lru_cache(maxsize=1)
def _date_and_time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
