"""The demo's endpoint on a real port, whose clock stands still and whose calls are counted."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.demo.server import create_upstream, serve_in_thread

# As long as a quick endpoint takes, so that operations meet while a call is under way.
DELAY_SECONDS = 0.02


class CountedEndpoint:
    """Counts the calls of an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.calls = 0
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self._app(scope, receive, send)


@contextmanager
def counted_endpoint() -> Iterator[CountedEndpoint]:
    # Nothing on it changes, so that any two answers to one question are the same.
    now = time.time()
    endpoint = CountedEndpoint(create_upstream(clock=lambda: now, delay_seconds=DELAY_SECONDS))
    with serve_in_thread(endpoint) as endpoint.url:
        yield endpoint
