"""Each reason for a failed upstream call, caused over real sockets: operators see it, clients do not."""

import asyncio
import os
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.errors import ERRORS
from gallery_gateway.telemetry import logs
from gallery_gateway.upstream.client import AnyTransport
from gallery_gateway.upstream.httpx_transport import HTTPXTransport
from gallery_gateway.upstream.proxy import Proxy
from gallery_gateway.upstream.refusals import transport_error_kind
from gallery_gateway.upstream.resilience import ResilienceRules
from gallery_gateway.upstream.transport import Pool, RawHeader, RawResponse, Timeouts
from tests.fakes import FakeUpstream, gateway
from tests.logging_to import Written
from tests.telemetry.recording import samples
from tests.telemetry.scraping import free_port, scraped
from tests.upstream.certificates import certified
from tests.upstream.opening import PAGE
from tests.upstream.sockets import Respond, always, http_response, serving
from tests.upstream.tunnels import proxying

GALLERY = "{ gallery { pagination { total } } }"
MAX_BYTES = 2_000
UNUSED = "https://api.example"
REASONS = {row.reason for row in ERRORS.values() if row.reason is not None}

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of one operation: the response, the log lines, the failures counted by reason."""

    response: httpx.Response
    lines: list[dict[str, Any]]
    counted: dict[str, float]


class Watched:
    """A transport that says when a call has ended, which may be after the response to the client."""

    def __init__(self, transport: AnyTransport) -> None:
        self.has_ended = asyncio.Event()
        self._transport = (
            HTTPXTransport(transport, "http://upstream", max_bytes=MAX_BYTES)
            if isinstance(transport, httpx.AsyncBaseTransport)
            else transport
        )

    async def get(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        try:
            return await self._transport.get(target, headers, timeouts, caller_key=caller_key)
        finally:
            self.has_ended.set()

    async def aclose(self) -> None:
        await self._transport.aclose()


@contextmanager
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    stream = Written()
    with monkeypatch.context() as patched:
        patched.setattr("sys.stderr", stream)
        yield stream
    logs.configure("info")


async def ask_gateway(monkeypatch: pytest.MonkeyPatch, transport: AnyTransport, **settings: Any) -> Seen:
    port = free_port()
    watched = Watched(transport)
    with logged(monkeypatch) as written:
        async with gateway(
            watched, metrics_port=port, log_format="json", upstream_max_bytes=MAX_BYTES, **settings
        ) as client:
            response = await client.post(GALLERY)
            await watched.has_ended.wait()
            text = await scraped(port)
        lines = [line for line in written.lines() if line["event"] == "upstream.called"]
    counted = {
        sample.labels["reason"]: sample.value
        for sample in samples(text)
        if sample.name == "gallery_gateway_upstream_call_failures_total"
    }
    return Seen(response, lines, counted)


def check_that_operators_alone_see(reason: str, seen: Seen) -> None:
    (line,) = seen.lines
    assert line["reason"] == reason
    assert seen.counted == {reason: 1.0}
    (error,) = seen.response.json()["errors"]
    assert error["extensions"].keys() <= {"code", "requestId"}
    assert line["outcome"] in {error["extensions"]["code"], "cancelled"}
    visible = seen.response.text + str(seen.response.headers)
    words = {word for word in REASONS if "_" in word} | {"reason", "Errno", "127.0.0.1", "localhost", "ssl"}
    assert not {word for word in words if word in visible}


# The upstream, or what stands in its place.


def silent(beginning: bytes = b"") -> Respond:
    return always(beginning)


def closing(raw: bytes = b"") -> Respond:
    return always(raw, then_close=True)


def resetting(beginning: bytes = b"") -> Respond:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await writer.drain()
        _close_by_reset(writer)

    return respond


def endless(beginning: bytes, again: bytes) -> Respond:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while not writer.is_closing():
            writer.write(again * 1_000)
            await writer.drain()

    return respond


def dripping(beginning: bytes, again: bytes) -> Respond:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            # A pause of the server's, shorter than that which the gateway waits for.
            await asyncio.sleep(0.01)

    return respond


def _close_by_reset(writer: asyncio.StreamWriter) -> None:
    # No time to linger: what closes it is a reset, and not an end.
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


ANSWERS: list[tuple[str, Respond, dict[str, Any]]] = [
    ("reset", resetting(), {}),
    ("reset", resetting(http_response(PAGE)[:-10]), {}),
    ("closed", closing(), {}),
    ("cut_off", closing(b"HTTP/1.1 200 OK\r\nX-"), {}),
    ("cut_off", closing(http_response(PAGE)[:-10]), {}),
    ("not_http", closing(b"220 mail.example ESMTP\r\n"), {}),
    ("not_http", closing(CHUNKED + b"zz\r\n"), {}),
    ("head_too_large", endless(b"HTTP/1.1 200 OK\r\n", b"X-More: a\r\n"), {}),
    ("overhead_too_large", endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-More: a\r\n"), {}),
    ("overhead_too_large", endless(CHUNKED + b"1;", b"a"), {}),
    ("first_byte_timeout", silent(), {"upstream_first_byte_timeout_seconds": 0.05}),
    ("first_byte_timeout", silent(b"HTTP/1.1 200 OK\r\n"), {"upstream_first_byte_timeout_seconds": 0.05}),
    (
        "read_timeout",
        silent(http_response(PAGE)[:-10]),
        {"rules": ResilienceRules(read_timeout_seconds=0.1)},
    ),
    ("total_timeout", dripping(b"HTTP/1.1 200 OK\r\nX: ", b"a"), {"upstream_total_timeout_seconds": 0.2}),
    ("total_timeout", dripping(CHUNKED, b"1\r\n \r\n"), {"upstream_total_timeout_seconds": 0.2}),
    ("status", always(http_response(b"", status="500 No")), {}),
    ("status", always(http_response(b"", status="503 No")), {}),
    ("status", always(http_response(b"", status="302 Found")), {}),
    ("intermediary", always(http_response(b"<html>", status="403 Forbidden")), {}),
    ("status", always(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), {}),
    ("body_too_large", always(http_response(b" " * 3 * MAX_BYTES)), {}),
    ("body_too_large", endless(CHUNKED, b"10\r\n                \r\n"), {}),
    ("encoding", always(http_response(PAGE, "Content-Encoding: br")), {}),
    ("encoding", always(http_response(PAGE, "Content-Encoding: gzip")), {}),
    ("not_json", always(http_response(b"<html>")), {}),
    ("not_json", always(http_response(b'"\xff"')), {}),
    ("not_a_page", always(http_response(b'{"projects": 7}')), {}),
    ("given_up", silent(), {"operation_timeout_seconds": 0.1}),
]


@pytest.mark.parametrize(
    ("reason", "respond", "settings"), ANSWERS, ids=[f"{case[0]}-{n}" for n, case in enumerate(ANSWERS)]
)
async def test_operators_alone_see_how_a_response_failed(
    monkeypatch: pytest.MonkeyPatch, reason: str, respond: Respond, settings: dict[str, Any]
) -> None:
    async with serving(respond) as server, asyncio.timeout(10):
        transport = Pool(server.url, max_connections=2, max_bytes=MAX_BYTES)
        seen = await ask_gateway(monkeypatch, transport, **settings)

    check_that_operators_alone_see(reason, seen)


@asynccontextmanager
async def free(_folder: Path) -> AsyncIterator[Pool]:
    async with serving(silent()) as server:
        url = server.url
    yield pool_of(url)


@asynccontextmanager
async def paused(_folder: Path) -> AsyncIterator[Pool]:
    """A listener that accepts no connection, and whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for before in waiting:
            before.setblocking(False)
            before.connect_ex(address)
        try:
            yield pool_of(f"http://127.0.0.1:{address[1]}")
        finally:
            for before in waiting:
                before.close()


def named(url: str) -> Callable[[Path], AbstractAsyncContextManager[Pool]]:
    @asynccontextmanager
    async def at(_folder: Path) -> AsyncIterator[Pool]:
        yield pool_of(url)

    return at


def secure(
    host: str = "127.0.0.1",
    valid_days: tuple[int, int] = (-1, 1),
    *,
    asked_for: str = "127.0.0.1",
    is_trusted: bool = True,
) -> Callable[[Path], AbstractAsyncContextManager[Pool]]:
    @asynccontextmanager
    async def at(folder: Path) -> AsyncIterator[Pool]:
        certificate = certified(folder, host=host, valid_days=valid_days)
        async with serving(always(http_response(PAGE)), tls=certificate.server) as server:
            yield pool_of(
                f"https://{asked_for}:{server.port}", ssl_context=certificate.client if is_trusted else None
            )

    return at


def without_tls(end: Callable[[asyncio.StreamWriter], None], raw: bytes = b"") -> Any:
    """A server that reads a hello, says something, and hangs up in one way or another."""

    @asynccontextmanager
    async def at(_folder: Path) -> AsyncIterator[Pool]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1_000)
            writer.write(raw)
            end(writer)

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
            yield pool_of(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}")

    return at


def through(
    answer: bytes | None, *, closes: bool = True
) -> Callable[[Path], AbstractAsyncContextManager[Pool]]:
    """A proxy that answers so; none if there is no answer."""

    @asynccontextmanager
    async def at(_folder: Path) -> AsyncIterator[Pool]:
        async with proxying(answer or b"", closes=closes) as proxy:
            if answer is not None:
                yield Pool(UNUSED, max_connections=2, max_bytes=MAX_BYTES, proxy=Proxy(proxy.url))
        if answer is None:
            yield Pool(UNUSED, max_connections=2, max_bytes=MAX_BYTES, proxy=Proxy(proxy.url))

    return at


def pool_of(url: str, *, ssl_context: ssl.SSLContext | None = None, max_connections: int = 2) -> Pool:
    return Pool(url, max_connections=max_connections, max_bytes=MAX_BYTES, ssl_context=ssl_context)


# No byte of these leaves the machine: such names and addresses cannot be had, whatever the network.
CONNECTIONS: list[tuple[str, Any]] = [
    ("dns", named("http://nowhere.invalid")),
    ("dns", named(f"http://{'a' * 64}.example")),
    ("connect_refused", free),
    # That of a broadcast.
    ("connect_unreachable", named("http://127.255.255.255")),
    ("connect_timeout", paused),
    # It wants the name of an interface.
    ("connect_failed", named("http://[fe80::1]")),
    ("proxy_unreachable", through(None)),
    ("proxy_credentials", through(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")),
    ("proxy_refused", through(b"HTTP/1.1 403 Forbidden\r\n\r\n")),
    ("proxy_failed", through(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")),
    ("proxy_failed", through(b"")),
    ("connect_timeout", through(b"HTTP/1.1 200 OK\r\n", closes=False)),
    ("tls_untrusted", secure(is_trusted=False)),
    ("tls_hostname", secure(asked_for="localhost")),
    ("tls_hostname", secure("other.example")),
    ("tls_expired", secure(valid_days=(-9, -2))),
    ("tls_expired", secure(valid_days=(2, 9))),
    ("tls_failed", without_tls(lambda writer: writer.close(), b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    ("tls_failed", without_tls(lambda writer: writer.close())),
    ("tls_failed", without_tls(_close_by_reset)),
]


@pytest.mark.parametrize(
    ("reason", "connections"), CONNECTIONS, ids=[f"{case[0]}-{n}" for n, case in enumerate(CONNECTIONS)]
)
async def test_operators_alone_see_why_there_is_no_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str, connections: Any
) -> None:
    # On a busy machine, the others need longer to fail in their own way.
    seconds = 0.5 if reason == "connect_timeout" else 20
    async with connections(tmp_path) as pool, asyncio.timeout(40):
        seen = await ask_gateway(monkeypatch, pool, upstream_connect_timeout_seconds=seconds)

    check_that_operators_alone_see(reason, seen)


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class WithoutDescriptors:
    """A transport in a process that has no file descriptor left while it is asked."""

    def __init__(self, transport: Pool) -> None:
        self._transport = transport

    async def get(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        with no_descriptors_left():
            return await self._transport.get(target, headers, timeouts, caller_key=caller_key)

    async def aclose(self) -> None:
        await self._transport.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_operators_alone_see_that_no_file_descriptor_is_left(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    # The resolver reads its configuration once, and would remember that it could not.
    socket.getaddrinfo("localhost", 80)

    async with serving(always(http_response(PAGE))) as server:
        transport = Pool(f"http://{host}:{server.port}", max_connections=2, max_bytes=MAX_BYTES)
        seen = await ask_gateway(monkeypatch, WithoutDescriptors(transport))

    check_that_operators_alone_see("no_file_descriptors", seen)


async def test_waiting_too_long_for_a_connection_is_a_total_timeout() -> None:
    pool = pool_of("http://127.0.0.1:1", max_connections=0)

    with pytest.raises(httpx.PoolTimeout) as caught:
        await pool.send(b"", Timeouts(connect=1, first_byte=1, read=1, total=0.05), caller_key=None)

    assert transport_error_kind(caught.value) == "total_timeout"


async def test_operators_alone_see_that_a_request_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Misled(Pool):
        """Gives a header that is two, as no part of the gateway does."""

        async def get(
            self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
        ) -> RawResponse:
            headers = [*headers, (b"x-two", b"a\r\nb: c")]
            return await super().get(target, headers, timeouts, caller_key=caller_key)

    misled = Misled("http://127.0.0.1:1", max_connections=2, max_bytes=MAX_BYTES)
    seen = await ask_gateway(monkeypatch, misled)

    check_that_operators_alone_see("bad_request", seen)


async def test_operators_alone_see_a_bug(monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream) -> None:
    upstream.fail(RuntimeError("unexpected"))

    seen = await ask_gateway(monkeypatch, upstream)

    check_that_operators_alone_see("other", seen)


def test_every_reason_is_tested_here() -> None:
    tables = {reason for reason, *_ in [*ANSWERS, *CONNECTIONS]}

    assert tables | {"no_file_descriptors", "bad_request", "other"} == REASONS
