"""Logs: an event name and its fields on one line.

A line reads `page.fetched outcome=ok seconds=0.021`. Nothing here formats a token: callers appear as
the short fingerprint that `Caller` gives, and URLs, headers and bodies are never fields.
"""

import logging
import time

_logger = logging.getLogger("gallery_gateway")


class EventFormatter(logging.Formatter):
    """Writes time, level, event name and `key=value` fields."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"
    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        fields = getattr(record, "fields", {})
        told = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
        return f"{self.formatTime(record)} {record.levelname.lower()} {record.message}{told}"


def configure(level: str) -> None:
    """Sends the gateway's and uvicorn's lines to standard error, from `level` up."""
    handler = logging.StreamHandler()
    handler.setFormatter(EventFormatter())
    for name in ("gallery_gateway", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False


def log_event(
    event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object
) -> None:
    """Logs one event; with `error`, its traceback too (for bugs only)."""
    if _logger.isEnabledFor(level):
        _logger.log(level, event, exc_info=error, extra={"fields": fields})


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
