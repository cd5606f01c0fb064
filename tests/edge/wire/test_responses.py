"""A complete response is written at once, and is byte for byte what uvicorn would have written."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from gallery_gateway.edge.responses import SEND_AT_ONCE, HTTPResponse, send_response
from tests.edge.wire.driving import MemoryTransport, server_options
from tests.edge.wire.serving import Listening, connected, served

GET = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n"
USUAL = HTTPResponse(200, [(b"vary", b"Accept")], b"{}")
CLOSING = HTTPResponse(200, [(b"connection", b"close")], b"{}")
REFUSED = HTTPResponse(200, [(b"location", b"/\r\nset-cookie: a=b")], b"{}")

# `connection` also tells the server what to do.
NAMES = st.sampled_from([b"age", b"cache-control", b"connection", b"x-any"])
VALUES = st.one_of(st.sampled_from([b"close", b"", b"a\tb", b"\xff"]), st.binary(max_size=12))
RESPONSES = st.builds(
    HTTPResponse,
    st.sampled_from([200, 204, 304, 308, 400, 405, 429, 500, 503, 599]),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.binary(max_size=80) | st.just(b"x" * 300_000),
).map(lambda response: response._replace(body=b"") if response.status in {204, 304} else response)
REQUESTS = st.builds(
    lambda method, version, headers, body: b"\r\n".join(
        [b"%b / HTTP/%b" % (method, version), *headers, b"content-length: %d" % len(body), b"", body]
    ),
    st.sampled_from([b"GET", b"HEAD", b"POST", b"DELETE"]),
    st.sampled_from([b"1.1", b"1.1", b"1.0"]),
    st.lists(
        st.sampled_from([b"connection: close", b"connection: keep-alive", b"expect: 100-continue"]),
        max_size=1,
    ),
    st.binary(max_size=40),
)


class AddedHeader:
    """The `send` of middleware that adds a header."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        message.get("headers", []).append((b"x-added", b"1"))
        await self._send(message)


@dataclass(slots=True)
class Responding:
    """An app that sends a list of responses, one for each request, and then waits until it may go.

    `at_once` holds, for each response, whether the server has sent it at once; `ended` counts the requests
    that ended for the app.

    Args:
        offers: whether the app lets the server send its responses at once.
        wraps: whether middleware adds a header.
        times: how often it sends each response.
    """

    responses: list[HTTPResponse] = field(default_factory=list)
    offers: bool = True
    wraps: bool = False
    times: int = 1
    may_respond: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: list[bool] = field(default_factory=list)
    ended: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        send_at_once = scope["state"].pop(SEND_AT_ONCE)

        def recorded(*arguments: Any) -> bool:
            self.at_once.append(send_at_once(*arguments))
            return self.at_once[-1]

        if self.offers:
            scope["state"][SEND_AT_ONCE] = recorded
        # To receive would ask for the body, which such a client has not sent.
        expects = (b"expect", b"100-continue") in scope["headers"]
        watching = None if expects else asyncio.create_task(_watch(receive))
        status, headers, body = self.responses.pop(0)
        await turns(1)
        await self.may_respond.wait()
        for _ in range(self.times):
            response = HTTPResponse(status, list(headers), body)
            sending = AddedHeader(send).send if self.wraps else send
            await send_response(scope, sending, response, request_id=b"1")
        await (watching or _watch(receive))
        self.ended += 1


async def _watch(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Client(MemoryTransport):
    """A connection in memory, and each write to it."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), is_slow=False)
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        super().write(data)

    async def send(self, *requests: bytes) -> None:
        """Sends requests in one piece, and waits until nothing more happens."""
        self._protocol.data_received(b"".join(requests))
        await turns(20 * len(requests))

    def show_access_log(self) -> None:
        self._protocol.access_log = True

    async def pause(self, *, is_paused: bool) -> None:
        """Stops reading, or reads on."""
        (self._protocol.pause_writing if is_paused else self._protocol.resume_writing)()
        await turns(20)


@pytest.fixture
def responding() -> Responding:
    responding = Responding()
    responding.may_respond.set()
    return responding


@pytest.fixture
async def server(responding: Responding) -> AsyncIterator[Listening]:
    # What the app must not send is an error in the log.
    async with served(responding, log_level="critical") as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture
async def client(responding: Responding) -> Client:
    """A client whose requests get usual responses."""
    responding.responses = [USUAL] * 2
    config = uvicorn.Config(responding, lifespan="off", **server_options())
    config.load()
    protocol: Any = config.http_protocol_class
    client = Client()
    client.connect(protocol(config=config, server_state=ServerState(), app_state={}))
    return client


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def responses_of(server: Listening, requests: list[bytes]) -> bytes:
    """All that comes back, without the time in dates."""
    # pytest captures also what loggers do not propagate; with a handler, uvicorn writes an access log.
    logging.getLogger("uvicorn.access").handlers.clear()
    async with connected(server.port) as wire:
        await wire.send([b"".join(requests), GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")])
        return re.sub(rb"\r\ndate: [^\r]+", b"\r\ndate:", await wire.ended())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exchanges=st.lists(st.tuples(REQUESTS, RESPONSES), min_size=1, max_size=3))
@example(exchanges=[(GET, REFUSED), (GET, USUAL)])
@example(exchanges=[(GET, CLOSING), (GET, USUAL)])
@example(exchanges=[(GET.replace(b"host: gateway", b"expect: 100-continue"), USUAL)])
async def test_a_response_is_byte_for_byte_uvicorns(
    server: Listening, responding: Responding, exchanges: list[tuple[bytes, HTTPResponse]]
) -> None:
    requests, responses = map(list, zip((GET, USUAL), *exchanges, strict=True))
    sent = []

    for offers in (True, False):
        responding.offers, responding.responses, responding.at_once = offers, [*responses, USUAL], []
        sent.append(await responses_of(server, requests))
        assert responding.at_once[:1] == [True] * offers

    assert sent[0] == sent[1]


async def test_the_head_and_the_body_of_a_response_are_one_write(client: Client) -> None:
    await client.send(GET, GET)

    assert len(client.writes) == 2
    assert all(write.startswith(b"HTTP/1.1 200 OK\r\n") for write in client.writes)
    assert all(write.endswith(b"\r\n\r\n{}") for write in client.writes)


async def test_a_request_has_ended_for_the_app_with_its_response(
    client: Client, responding: Responding
) -> None:
    await client.send(GET, GET)

    assert responding.at_once == [True, True]
    assert responding.ended == 2


async def test_a_response_waits_while_the_client_does_not_read(
    client: Client, responding: Responding
) -> None:
    await client.pause(is_paused=True)
    await client.send(GET)
    assert client.writes == []

    await client.pause(is_paused=False)

    assert responding.at_once == [False]
    assert client.sent.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET.replace(b"GET", b"HEAD"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GET.replace(b"host: gateway", b"connection: close"),
    ],
    ids=["HEAD", "HTTP/1.0", "the last request"],
)
async def test_the_response_to_an_unusual_request_is_left_to_uvicorn(
    client: Client, responding: Responding, request_bytes: bytes
) -> None:
    await client.send(request_bytes)

    assert responding.at_once == [False]


async def test_a_response_is_sent_through_middleware(client: Client, responding: Responding) -> None:
    responding.wraps = True

    await client.send(GET)

    assert responding.at_once == [False]
    assert b"\r\nx-added: 1\r\n" in client.sent


async def test_a_response_that_the_access_log_shows_is_left_to_uvicorn(
    client: Client, responding: Responding
) -> None:
    client.show_access_log()

    await client.send(GET)

    assert responding.at_once == [False]


async def test_a_request_gets_one_response_only(client: Client, responding: Responding) -> None:
    responding.times = 2

    await client.send(GET)

    assert responding.at_once == [True, False]
    assert len(client.writes) == 1


async def test_a_client_that_has_gone_is_sent_nothing(client: Client, responding: Responding) -> None:
    responding.may_respond.clear()

    await client.send(GET)
    client.close()
    await turns(1)
    responding.may_respond.set()
    await turns(20)

    assert responding.at_once == [False]
    assert client.writes == []


async def test_a_header_that_would_end_its_line_is_left_to_uvicorn(
    server: Listening, responding: Responding
) -> None:
    responding.responses = [REFUSED]

    received = await responses_of(server, [])

    assert responding.at_once == [False]
    assert received == b""
