"""Logs: an event name and its fields on one line, as JSON or, for people, as text.

As text a line reads `upstream.called outcome=ok seconds=0.021`. Nothing here formats a token: callers appear
as the short fingerprint that `Caller` gives, and URLs, headers and bodies are never fields.
"""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TextIO, cast

import msgspec

from gallery_gateway.telemetry.counters import Snapshot
from gallery_gateway.telemetry.records import CallRecord, OperationRecord

# Lines wait for each other so long: a call of the system costs more than the line.
_GATHERING_SECONDS = 0.05

# What waits for a reader that has stalled; a line has some 300 bytes.
_MAX_WAITING = 20_000

# How long an end waits for such a reader.
_LAST_PATIENCE_SECONDS = 2.0


class LineWriter:
    """Takes lines at the cost of an append, from any thread, and writes them in their order.

    `dropped` counts the lines that were thrown away because nobody read those before them.
    """

    def __init__(self, stream: TextIO, *, max_waiting: int = _MAX_WAITING) -> None:
        self.stream = stream
        self.dropped = 0
        self._max_waiting = max_waiting
        self._waiting: deque[bytes] = deque()
        self._is_awake = self._is_closed = False
        self._wake = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log-lines", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Takes one line, its newline included."""
        if len(self._waiting) >= self._max_waiting:
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()

    def flush(self) -> None:
        """Waits until all that was taken is written, but not for ever for a reader that has stalled."""
        if self._writing.acquire(timeout=_LAST_PATIENCE_SECONDS):
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
            self._wake.clear()
            time.sleep(0.0 if self._is_closed else _GATHERING_SECONDS)
            # Before the lines are taken: whoever adds one from here on wakes the thread again.
            self._is_awake = False
            with self._writing:
                self._write_waiting()

    def _write_waiting(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            self.stream.write(b"".join(lines).decode(errors="backslashreplace"))
            self.stream.flush()
        # A stream that is closed, or a full disk: there is nowhere left to say so.
        except (OSError, ValueError):
            self.dropped += len(lines)


LogFormat = Literal["auto", "json", "text"]
"""`auto` is text on a terminal, and JSON anywhere else."""

_logger = logging.getLogger("gallery_gateway")
Value = str | int | float | bool | None
"""What a field may hold: nothing that would have to be asked how it wants to be shown."""


def _safe(value: object) -> Value:
    """The value, or of what is no plain value the type alone: its own words could tell anything."""
    if value is None or type(value) in {str, int, float, bool}:
        return cast("Value", value)
    return f"<{type(value).__name__}>"


_encode = msgspec.json.Encoder(enc_hook=_safe).encode


class EventFormatter(logging.Formatter):
    """Writes time, level, event name and `key=value` fields."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        return _text(record.created, record.levelname, record.message, getattr(record, "fields", {}))


class JSONFormatter(logging.Formatter):
    """Writes one JSON object, with the traceback in it; the lines of others have a `message`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        told = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "event": record.name if fields is None else record.getMessage(),
        }
        if fields is None:
            told["message"] = record.getMessage()
        trace = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return _encode({**told, **(fields or {}), **trace}).decode()


class LineHandler(logging.Handler):
    """Hands lines on to a writer; `logging` flushes it at the end of the process."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.write((self.format(record) + "\n").encode(errors="backslashreplace"))

    def flush(self) -> None:
        self.lines.flush()


class EventLog:
    """A line for each operation and each upstream call.

    What ended well, or as clients may expect it to, is told at level info, and where the endpoint failed at
    level warning.

    Args:
        level: the least that is told.
    """

    def __init__(self, lines: LineWriter, *, level: int, is_json: bool) -> None:
        self._lines = lines
        self._level = level
        self._is_json = is_json

    def gauges(self) -> Snapshot:
        return Snapshot(counters={("log_lines_dropped_total", ()): float(self._lines.dropped)})

    def flush(self) -> None:
        self._lines.flush()

    @property
    def tells_operations(self) -> bool:
        return self._level <= logging.INFO

    def operation_ended(self, record: OperationRecord) -> None:
        if self.tells_operations:
            self._tell("info", "operation.served", record)

    def call_ended(self, record: CallRecord, *, log_level: int = logging.INFO) -> None:
        """Log a call at `log_level`, which the error table of `gallery_gateway.errors` decides."""
        if self._level <= log_level:
            self._tell(logging.getLevelName(log_level).lower(), "upstream.called", record)

    def _tell(self, level: str, event: str, record: msgspec.Struct) -> None:
        now = time.time()
        if self._is_json:
            head = f'{{"time":"{_moment(now)}","level":"{level}","event":"{event}",'
            self._lines.write(b"%b%b\n" % (head.encode(), _encode(record)[1:]))
        else:
            self._lines.write(
                f"{_text(now, level, event, msgspec.to_builtins(record, enc_hook=_safe))}\n".encode()
            )


def configure(level: str, form: LogFormat = "auto", *, stream: TextIO | None = None) -> EventLog:
    """Sends the gateway's and uvicorn's lines to `stream`, or to standard error, from `level` up."""
    stream = stream or sys.stderr
    is_json = form == "json" or (form == "auto" and not stream.isatty())
    handler = LineHandler(_lines(stream))
    handler.setFormatter(JSONFormatter() if is_json else EventFormatter())
    for name in ("gallery_gateway", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False
    return EventLog(handler.lines, level=_logger.level, is_json=is_json)


def log_event(
    event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Value
) -> None:
    """Logs one event; with `error`, its traceback too (for bugs only)."""
    if _logger.isEnabledFor(level):
        told = {name: _safe(value) for name, value in fields.items()}
        _logger.log(level, event, exc_info=error, extra={"fields": told})


def _lines(stream: TextIO) -> LineWriter:
    """The writer that is in use, unless it writes to another stream."""
    for handler in _logger.handlers:
        if isinstance(handler, LineHandler):
            if handler.lines.stream is stream:
                return handler.lines
            handler.lines.close()
    return LineWriter(stream)


def _text(moment: float, level: str, event: str, fields: Mapping[str, object]) -> str:
    told = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
    return f"{_moment(moment)} {level.lower()} {event}{told}"


def _moment(seconds: float) -> str:
    """A moment in UTC, to the millisecond."""
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
