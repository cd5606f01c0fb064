"""The real server in this process, over an app that lets it replay responses."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.replay import REPLAY_KEY, REPLAY_STORE, Replay, ReplayStore
from gallery_gateway.edge.uvicorn_protocol import WireProtocol
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import OperationRecord
from tests.canary import look_at
from tests.process.serving import PATIENCE_SECONDS, Connection

UVLOOP = "asyncio", {"use_uvloop": True}
"""The event loop that the command line's server runs on."""

MAX_HEAD_BYTES = 2_048
RECORD = OperationRecord(request_id="1", method="POST")


class Client(Connection):
    """One client on one socket, whose responses need not have a body."""

    async def response(self) -> tuple[str, bytes]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"\r\ncontent-length: (\d+)", head)
            body = await self._reader.readexactly(int(length[1])) if length else b""
        look_at("answers to clients", head.encode() + body)
        return head, body

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Sends a request in one piece; head, in lower case, and body of its answer."""
        await self.send(request)
        return await self.response()


class Served:
    """A server on a free port, and those who are connected to it."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self._server = server
        self._port = port
        self._clients: list[Client] = []

    @property
    def total_requests(self) -> int:
        return self._server.server_state.total_requests

    async def connect(self, *, receive_buffer_bytes: int | None = None) -> Client:
        """A connection that is hung up by `hang_up_all`."""
        sock = socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
        client = Client(*await asyncio.open_connection(sock=sock))
        self._clients.append(client)
        return client

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Asks over a connection of its own."""
        return await (await self.connect()).ask(request)

    async def has_read(self) -> None:
        """Waits until the server has read what was sent before: what came later is answered by then."""
        await self.ask(b"GET /livez HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")

    async def hang_up_all(self) -> None:
        for client in self._clients:
            await client.hang_up()


@asynccontextmanager
async def served(
    app: ASGIApp,
    *,
    timeout_seconds: float = PATIENCE_SECONDS,
    keep_alive_seconds: float = PATIENCE_SECONDS,
    send_buffer_bytes: int | None = None,
) -> AsyncIterator[Served]:
    """Serves `app` in the test's own loop, by the protocol and the options of the command line."""
    options: dict[str, Any] = {
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "http": partial(
            WireProtocol,
            timeout_seconds=timeout_seconds,
            max_head_bytes=MAX_HEAD_BYTES,
            max_body_bytes=16_384,
        ),
        "ws": "none",
        "lifespan": "on",
        "timeout_keep_alive": keep_alive_seconds,
        "timeout_graceful_shutdown": 2,
    }
    # It listens from here on, so that nobody has to wait for the start.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if send_buffer_bytes is not None:
            # Connections begin with the buffers of their listener.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        server = uvicorn.Server(uvicorn.Config(app, **options))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        clients = Served(server, listener.getsockname()[1])
        try:
            yield clients
        finally:
            await clients.hang_up_all()
            server.should_exit = True
            await serving


class Echo:
    """An ASGI app that responds to each POST with its own body, and lets the server replay the response.

    `asked` are the bodies of the requests that the app ran for, and `given_again` those of the requests that
    the server replayed. The app responds while `may_answer` is set, as it is at first.

    Args:
        times: how often the response repeats the body.
    """

    def __init__(self, *, times: int = 1) -> None:
        self._times = times
        self.asked: list[bytes] = []
        self.given_again: list[bytes] = []
        self.is_fresh = True
        self.age_seconds = 0.0
        self.readiness = Readiness()
        self._store = ReplayStore(self.readiness)
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._is_asked = asyncio.Condition()

    async def is_asked(self, count: int) -> None:
        """Waits until it was run for so many requests."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._is_asked:
            await self._is_asked.wait_for(lambda: len(self.asked) >= count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][REPLAY_STORE] = self._store
            await _live(receive, send)
        elif scope["method"] == "POST":
            await self._answer(scope, receive, send)
        else:
            await _send(send, b"well")

    def answer(self, _scope: Scope, body: bytes) -> bytes:
        return body * self._times

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        async with self._is_asked:
            self.asked.append(body)
            self._is_asked.notify_all()
        await self.may_answer.wait()
        answer = self.answer(scope, body)
        key = scope["state"].get(REPLAY_KEY)
        if key is not None:
            self._store.put(key, Replay(cast("CachedResponse", EchoKept(self, body, answer)), RECORD, ()))
        await _send(send, answer)


class EchoKept:
    """The answer to a body for as long as the app's answers are fresh."""

    def __init__(self, app: Echo, body: bytes, answer: bytes) -> None:
        self._app = app
        self._body = body
        self._answer = answer

    def get(self) -> tuple[bytes, float, float] | None:
        if not self._app.is_fresh:
            return None
        self._app.given_again.append(self._body)
        return self._answer, 30.0, self._app.age_seconds


def echoed(
    body: bytes, *headers: bytes, line: bytes = b"POST / HTTP/1.1", token: bytes = b"made-up"
) -> bytes:
    """A whole request for an `Echo`."""
    authorization = b"authorization: Bearer " + token
    head = b"\r\n".join([line, b"host: gateway", authorization, *headers, b"content-length: "])
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
