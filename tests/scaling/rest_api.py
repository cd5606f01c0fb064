"""The demo's REST API on a real port. It counts its calls, and its clock stands still."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.demo.server import create_upstream, serve_in_thread

# The duration of a fast call, so that operations meet while a call is in flight.
DELAY_SECONDS = 0.02


class CountedAPI:
    """Counts the calls of an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.calls = 0
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self._app(scope, receive, send)


@contextmanager
def counted_api() -> Iterator[CountedAPI]:
    # Nothing changes with time, so equal requests have equal responses.
    now = time.time()
    api = CountedAPI(create_upstream(clock=lambda: now, delay_seconds=DELAY_SECONDS))
    with serve_in_thread(api) as api.url:
        yield api
