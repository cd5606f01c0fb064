"""`/metrics` on a port and in a thread of its own, and the lag of the event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from gallery_gateway.telemetry.logs import log_event


async def watch_lag(record: Callable[[float], None], *, interval_seconds: float = 0.25) -> None:
    """Record the lag of the event loop in seconds, at each interval until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        record(max(0.0, loop.time() - due))


@asynccontextmanager
async def exposed(
    registry: CollectorRegistry, *, host: str, ports: Sequence[int], retry_seconds: float = 1.0
) -> AsyncIterator[None]:
    """Serve `/metrics` on the first free port until the block ends.

    The workers of a gateway share a range of ports, because uvicorn does not number them. A worker that
    replaces another one may start before its port is free, and serves requests without metrics until then.
    """
    starting = asyncio.create_task(_start(registry, host, ports, retry_seconds))
    # Lets the first attempt run, so that the metrics are there once the app has started.
    await asyncio.sleep(0)
    try:
        yield
    finally:
        starting.cancel()
        if starting.done():
            server, thread = starting.result()
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()


async def _start(
    registry: CollectorRegistry, host: str, ports: Sequence[int], retry_seconds: float
) -> tuple[WSGIServer, Thread]:
    """Return the server and its thread, once a port is free."""
    is_logged = False
    while True:
        reason = None
        for port in ports:
            try:
                return start_http_server(port, addr=host, registry=registry)
            except OSError as exc:
                reason = exc.strerror
        if not is_logged:
            log_event("metrics.unavailable", level=logging.WARNING, port=ports[0], reason=reason)
            is_logged = True
        await asyncio.sleep(retry_seconds)
