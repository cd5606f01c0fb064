"""The beginning of the end: not ready from SIGTERM on, and serving until load balancers have seen it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from gallery_gateway.edge.health import Readiness

_Handler = Callable[[int, FrameType | None], object]


@contextmanager
def draining(readiness: Readiness, *, delay_seconds: float) -> Iterator[None]:
    """Stands before the server's own handler of SIGTERM, where there is a server.

    The server closes its sockets as soon as it is told to end, and says nothing before. With a delay it is
    told so much later, and clients are asked meanwhile to leave their connections. SIGINT is never put off.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or not isinstance(getattr(handler, "__self__", None), uvicorn.Server):
        yield
        return
    drain = _drain(readiness, handler, asyncio.get_running_loop(), delay_seconds)
    signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is drain:
            signal.signal(signal.SIGTERM, handler)


def _drain(
    readiness: Readiness, handler: _Handler, loop: asyncio.AbstractEventLoop, delay_seconds: float
) -> _Handler:
    def drain(number: int, frame: FrameType | None) -> None:
        if readiness.is_leaving or not delay_seconds:
            readiness.leave()
            handler(number, frame)
            return
        readiness.leave()
        # A signal comes between any two steps of the loop.
        loop.call_soon_threadsafe(loop.call_later, delay_seconds, handler, number, None)

    return drain
