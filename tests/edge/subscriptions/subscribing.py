"""Subscribers of the app over ASGI, without sockets: in virtual time, an hour of them takes a moment."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

import httpx
from starlette.types import Message

from gallery_gateway.app import create_app
from gallery_gateway.clock import Clock
from gallery_gateway.edge.event_stream import EventStreams
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.client import AnyTransport
from tests import virtual_time
from tests.canary import look_at
from tests.fakes import TOKEN, Client
from tests.gallery.endpoints import NOON

Parameters = ParamSpec("Parameters")


class Event(NamedTuple):
    """An event of a stream, and when it came, in the loop's seconds."""

    name: str
    response: Any
    at: float


class Subscriber:
    """A client with one event stream.

    Attributes:
        status: of the response; 0 until it begins.
        text: all that has come of the body.
        sent_at: when each piece of the body came.
        is_reading: cleared while the client does not read.
        is_broken: whether the server raises an error when something is sent, as some do after a disconnect.
    """

    def __init__(self, app: Any, body: bytes, headers: dict[str, str]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = b""
        self.events: list[Event] = []
        self.sent_at: list[float] = []
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        self.is_broken = False
        self._gone = asyncio.Event()
        self._body: bytes | None = body
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "headers": [*raw, (b"content-length", b"%d" % len(body))],
        }
        self.task: asyncio.Task[None] = asyncio.create_task(app(scope, self._receive, self._send))

    @property
    def responses(self) -> list[Any]:
        """The GraphQL responses so far."""
        return [event.response for event in self.events if event.name == "next"]

    @property
    def is_complete(self) -> bool:
        return bool(self.events) and self.events[-1].name == "complete"

    async def ended(self) -> None:
        await self.task

    async def hang_up(self) -> None:
        """Leave, and wait until the app has noticed."""
        self._gone.set()
        self.is_reading.set()
        await self.task

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.is_reading.wait()
        if self.is_broken:
            raise ConnectionResetError
        if self._gone.is_set():
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        now = asyncio.get_running_loop().time()
        look_at("answers to clients", message.get("body", b""))
        self.text += message.get("body", b"")
        self.sent_at.append(now)
        *blocks, _rest = self.text.split(b"\n\n")
        events = [read_event(block, at=now) for block in blocks if block.startswith(b"event: ")]
        self.events += events[len(self.events) :]


def read_event(block: bytes, *, at: float = 0.0) -> Event:
    fields = dict(line.partition(b":")[::2] for line in block.splitlines())
    text = fields[b"data"].strip()
    return Event(fields[b"event"].strip().decode(), json.loads(text) if text else None, at)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The running app, with clients of both kinds."""

    app: Any
    streams: EventStreams
    client: Client

    def subscribe(
        self,
        document: str | None,
        *,
        token: str | None = TOKEN,
        variables: dict[str, Any] | None = None,
        extensions: dict[str, Any] | None = None,
        **headers: str,
    ) -> Subscriber:
        """Open a stream; `headers` with `_` for `-`."""
        sent = {"content-type": "application/json", "accept": "text/event-stream"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        body = json.dumps({"query": document, "variables": variables, "extensions": extensions})
        return Subscriber(self.app, body.encode(), sent)


@asynccontextmanager
async def opened(
    transport: AnyTransport,
    *,
    streams: EventStreams | None = None,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """Start the complete app with the clocks of the running loop; settings by their Python names."""
    loop = asyncio.get_running_loop()
    clock = Clock(monotonic=loop.time, wall=lambda: NOON + loop.time())
    chosen = Settings.read(_env_file=None, **{"upstream_max_attempts": 1, **settings})
    streams = streams if streams is not None else EventStreams()
    app = create_app(chosen, transport=transport, clock=clock, streams=streams)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http,
    ):
        yield Gateway(app, streams, Client(http))


def unbounded() -> EventStreams:
    """More streams than a process or a caller may have."""
    return EventStreams(max_streams=10_000, max_streams_per_caller=10_000)


def in_virtual_time(test: Callable[Parameters, Coroutine[Any, Any, None]]) -> Callable[Parameters, None]:
    """Run a test in a loop whose clock jumps to the next timer."""

    @wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        virtual_time.run(lambda: test(*args, **kwargs))

    return run
