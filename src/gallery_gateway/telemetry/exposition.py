"""`/metrics` on a port and a thread of its own, with gauges of the process and of the event loop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import ProcessCollector, start_http_server

from gallery_gateway.telemetry.counters import Snapshot, Values
from gallery_gateway.telemetry.metrics import registry_of

_COUNTERS = frozenset({"process_cpu_seconds_total"})
_GAUGES = frozenset({"process_resident_memory_bytes", "process_open_fds"})


def read_process() -> Snapshot:
    samples = [sample for family in ProcessCollector(registry=None).collect() for sample in family.samples]
    counters: Values = {(sample.name, ()): sample.value for sample in samples if sample.name in _COUNTERS}
    gauges: Values = {(sample.name, ()): sample.value for sample in samples if sample.name in _GAUGES}
    return Snapshot(counters=counters, gauges=gauges)


_INTERVAL_SECONDS = 0.25


async def watch_lag(tell: Callable[[float], None], *, interval_seconds: float = _INTERVAL_SECONDS) -> None:
    """Tells the lag in seconds, again and again until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        tell(max(0.0, loop.time() - due))


@contextmanager
def exposed(read: Callable[[], Snapshot], *, host: str, port: int, version: str) -> Iterator[None]:
    """Serves what is read until the block ends.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
    """
    server, thread = start_http_server(port, addr=host, registry=registry_of(read, version=version))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
