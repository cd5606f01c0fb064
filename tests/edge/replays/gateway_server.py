"""The complete gateway on a server in this process that counts runs of the app; requests as bytes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.app import create_app
from gallery_gateway.clock import Clock
from gallery_gateway.settings import Settings
from tests.edge.replays.echo_server import Served, served
from tests.fakes import TOKEN
from tests.process.serving import operation

NAMES = "query Names { gallery { projects { projectName } } }"
BY_POST = operation(NAMES)

TTL_SECONDS = 30

RUNS = 2
"""The app fetches a page, then answers from the cache, and the server replays that from then on."""


class Time:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed


class _Counted:
    """An app, and how often it was asked for operations."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.runs = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.runs += scope.get("path") == "/graphql"
        await self._app(scope, receive, send)


class Gateway:
    """The gateway on a real port."""

    def __init__(self, app: _Counted, server: Served) -> None:
        self._app = app
        self.connect = server.connect

    @property
    def runs(self) -> int:
        """How often its app was asked for operations."""
        return self._app.runs


@asynccontextmanager
async def gateway(
    transport: httpx.AsyncBaseTransport | None, *, time: Time | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """Serves it until the block ends; settings by their Python names."""
    settings = {"log_level": "error", "cache_ttl_seconds": TTL_SECONDS, **settings}
    chosen = Settings.read(_env_file=None, stale_while_revalidate_seconds=0, **settings)
    time = time or Time()
    clock = Clock(monotonic=time, wall=time)
    app = _Counted(create_app(chosen, transport=transport, clock=clock, owns_process=True))
    async with served(app, timeout_seconds=chosen.request_timeout_seconds) as server:
        yield Gateway(app, server)


def with_header(request: bytes, line: bytes) -> bytes:
    return request.replace(b"\r\n\r\n", b"\r\n%b\r\n\r\n" % line, 1)


def by_get(*lines: str) -> bytes:
    """The same operation as `BY_POST`."""
    target = httpx.URL("/graphql", params={"query": NAMES})
    needed = ["host: gateway", f"authorization: Bearer {TOKEN}", "content-type: application/json"]
    return "\r\n".join([f"GET {target} HTTP/1.1", *needed, *lines, "", ""]).encode()


def header(head: str, name: str) -> str:
    """The value of a header that is there once."""
    (told,) = re.findall(rf"^{name}: (.+)\r$", head, re.MULTILINE)
    return str(told)
