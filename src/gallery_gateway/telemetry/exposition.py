"""`/metrics` on a port and a thread of its own: a scrape is answered while the event loop is busy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from gallery_gateway.telemetry.metrics import registry_of
from gallery_gateway.telemetry.snapshots import Snapshot


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
