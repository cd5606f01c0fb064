"""What the gateway tells about itself, put together from settings: logs, metrics, traces."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from gallery_gateway import __version__
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError
from gallery_gateway.telemetry import logs
from gallery_gateway.telemetry.counters import MetricCounters, Readings
from gallery_gateway.telemetry.exposition import exposed, read_process, watch_lag
from gallery_gateway.telemetry.telemetry import Observer, Telemetry
from gallery_gateway.telemetry.workers import GATHERER_VARIABLE, Gatherer, gathered

if TYPE_CHECKING:
    # Needs an extra that is not there where traces are off.
    from gallery_gateway.telemetry.traces import Traces


class Instruments:
    """The logs, metrics and traces of one process.

    `calls` and `operations` are what the rooms tell of each; None where nobody wants to know.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises: SettingsError: traces are wanted, and their extra is not installed."""
        self._settings = settings
        self._events = logs.configure(settings.log_level, settings.log_format)
        self._counters = MetricCounters() if settings.metrics_port else None
        self._traces = _traces(settings) if settings.traces else None
        metrics: list[Observer] = [self._counters] if self._counters else []
        self.calls = Telemetry([*metrics, self._events], self._traces)
        lines: list[Observer] = [self._events] if self._events.tells_operations else []
        observed = [*metrics, *lines]
        self.operations = Telemetry(observed, self._traces) if observed or self._traces else None

    def read(self, gauges: Readings) -> None:
        """Takes these readings too whenever the metrics are looked at."""
        if self._counters is not None:
            self._counters.read(gauges)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves the metrics and sends the traces for as long as the app runs.

        Raises:
            OSError: the metrics' port is taken.
        """
        with self._shown():
            watching = asyncio.create_task(watch_lag(self._counters.lagged)) if self._counters else None
            try:
                yield
            finally:
                if watching is not None:
                    watching.cancel()
                await asyncio.to_thread(self._flush)

    def _shown(self) -> AbstractContextManager[None]:
        if self._counters is None:
            return nullcontext()
        self._counters.read(self._events.gauges)
        self._counters.read(read_process)
        gatherer = os.environ.get(GATHERER_VARIABLE)
        if gatherer is not None:
            return gathered(self._counters.snapshot, port=int(gatherer))
        settings = self._settings
        return exposed(
            self._counters.snapshot, host=settings.host, port=settings.metrics_port, version=__version__
        )

    def _flush(self) -> None:
        """In a thread: a receiver of traces, or a reader of the log, may take its time."""
        if self._traces is not None:
            self._traces.close()
        self._events.flush()


@contextmanager
def gathering(settings: Settings) -> Iterator[None]:
    """Serves the metrics of all workers for their parent; a process alone serves its own (`Instruments`).

    Raises:
        OSError: the metrics' port is taken.
    """
    if settings.workers == 1 or not settings.metrics_port:
        yield
        return
    gatherer = Gatherer()
    # Workers begin with the environment of their parent, and with nothing else of it.
    os.environ[GATHERER_VARIABLE] = str(gatherer.port)
    with exposed(gatherer.read, host=settings.host, port=settings.metrics_port, version=__version__):
        yield


def _traces(settings: Settings) -> "Traces":
    try:
        from gallery_gateway.telemetry.traces import traces_from_environment  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"{ENVIRONMENT_PREFIX}TRACES: install gallery-gateway[traces] ({exc.name} is missing)"
        ) from exc
    return traces_from_environment(upstream_url=str(settings.upstream_url), version=__version__)
