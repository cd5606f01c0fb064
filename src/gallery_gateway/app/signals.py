"""Signals while the app runs: an end after a delay, and an end without waiting."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.event_stream import EventStreams


@contextmanager
def handling_signals(readiness: Readiness, streams: EventStreams, *, delay_seconds: float) -> Iterator[None]:
    """Handle SIGTERM and SIGINT before the server does, if there is a server.

    Subscriptions end at once: the server would wait for them until the grace period is over.

    The server closes its sockets as soon as it gets a signal. A delay passes SIGTERM on that much later; in
    the meantime, each response asks its client to close the connection. SIGINT is never delayed. A second
    one cancels the requests under way, as the end of the grace period does; the server itself would skip the
    shutdown of the app.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if not isinstance(server, uvicorn.Server):
        yield
        return
    loop = asyncio.get_running_loop()

    def drain(number: int, frame: FrameType | None) -> None:
        is_first = not readiness.is_leaving
        readiness.leave()
        loop.call_soon_threadsafe(streams.close)
        if is_first and delay_seconds:
            # A signal interrupts the loop between any two steps.
            loop.call_soon_threadsafe(loop.call_later, delay_seconds, server.handle_exit, number, None)
        else:
            server.handle_exit(number, frame)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if server.should_exit:
            loop.call_soon_threadsafe(_cancel_requests, server)
        else:
            loop.call_soon_threadsafe(streams.close)
            server.handle_exit(number, frame)

    with _handling(signal.SIGTERM, drain), _handling(signal.SIGINT, interrupt):
        yield


def _cancel_requests(server: uvicorn.Server) -> None:
    for task in server.server_state.tasks:
        task.cancel()


@contextmanager
def _handling(number: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        if signal.getsignal(number) is handler:
            signal.signal(number, before)
