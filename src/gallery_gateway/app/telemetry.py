"""Logs, metrics and traces, put together from settings."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from gallery_gateway import __version__
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError
from gallery_gateway.telemetry import logs
from gallery_gateway.telemetry.counters import Gauges, MetricCounters
from gallery_gateway.telemetry.exposition import exposed, watch_lag
from gallery_gateway.telemetry.metrics import registry_of
from gallery_gateway.telemetry.telemetry import Observer, Telemetry

if TYPE_CHECKING:
    # Needs an extra that is missing where traces are off.
    from gallery_gateway.telemetry.traces import Traces


class Instruments:
    """The logs, metrics and traces of one app.

    Args:
        owns_process: configures `logging`; otherwise, events go to the loggers as they are configured.

    Attributes:
        calls: records upstream calls.
        operations: records operations; None if no log, metric or trace wants them.
    """

    def __init__(self, settings: Settings, *, owns_process: bool) -> None:
        """Raises: SettingsError: traces are on, but their extra is missing, or its variables are wrong."""
        self._settings = settings
        self._lines = logs.configure(settings.log_level, settings.log_format) if owns_process else None
        events = self._lines or logs.LoggedEvents()
        self._counters = MetricCounters() if settings.metrics_port else None
        if self._lines is not None:
            self.add_gauges(self._lines.gauges)
        self._traces = _traces(settings) if settings.traces else None
        observers: list[Observer] = [self._counters] if self._counters else []
        self.calls = Telemetry([*observers, events], self._traces)
        if self._lines is None or self._lines.logs_operations:
            observers = [*observers, events]
        self.operations = Telemetry(observers, self._traces) if observers or self._traces else None

    def add_gauges(self, gauges: Gauges) -> None:
        """Include these counters and gauges in every scrape."""
        if self._counters is not None:
            self._counters.add_gauges(gauges)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve the metrics and send the traces until the block ends."""
        async with AsyncExitStack() as stack:
            if self._traces is not None or self._lines is not None:
                # In a thread: a receiver of traces, or a reader of the log, may be slow.
                stack.push_async_callback(asyncio.to_thread, self._flush)
            if self._counters is not None:
                registry = registry_of(self._counters.snapshot, version=__version__)
                ports = metrics_ports(self._settings)
                await stack.enter_async_context(exposed(registry, host=self._settings.host, ports=ports))
                stack.callback(asyncio.create_task(watch_lag(self._counters.lagged)).cancel)
            yield

    def _flush(self) -> None:
        if self._traces is not None:
            self._traces.close()
        if self._lines is not None:
            self._lines.lines.flush()


def check_metrics_ports(settings: Settings) -> None:
    """Raise OSError if a worker could not serve its metrics: it would only log that, and go on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in metrics_ports(settings):
        socket.create_server((settings.host, port), family=family).close()


def metrics_ports(settings: Settings) -> Sequence[int]:
    """Return the port of each worker's metrics; none if there are no metrics."""
    first = settings.metrics_port
    return range(first, first + settings.workers) if first else ()


def _traces(settings: Settings) -> "Traces":
    name = f"{ENVIRONMENT_PREFIX}TRACES"
    try:
        from gallery_gateway.telemetry.traces import traces_from_environment  # noqa: PLC0415  # an extra

        return traces_from_environment(upstream_url=str(settings.upstream_url), version=__version__)
    except ModuleNotFoundError as exc:
        raise SettingsError(f"{name}: install the extra `traces` ({exc.name} is missing)") from exc
    except ValueError as exc:
        raise SettingsError(f"{name}: a variable OTEL_* is wrong: {exc}") from exc
