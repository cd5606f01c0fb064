"""Upstream calls through an HTTP proxy: the tunnel, its failures, and who may use a connection through it."""

import asyncio
import itertools
import json
import random
import socket
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.upstream.proxy import Proxy
from gallery_gateway.upstream.refusals import transport_error_kind
from gallery_gateway.upstream.transport import Pool, RawResponse, Timeouts
from tests.fakes import gateway
from tests.upstream.certificates import Authority
from tests.upstream.opening import PAGE
from tests.upstream.sockets import RawServer, Respond, always, http_response, serving
from tests.upstream.test_transport_errors import logged
from tests.upstream.tunnels import ESTABLISHED, PASSWORD, USER, needs_tinyproxy, proxying, tinyproxy

GALLERY = "{ gallery { pagination { total } } }"
TIMEOUTS = Timeouts(connect=10, first_byte=10, read=10, total=10)
ADA, BEN = b"key-of-ada", b"key-of-ben"


def pool_of(server: RawServer, proxy_url: str) -> Pool:
    return Pool(server.url, max_connections=2, max_bytes=100_000, proxy=Proxy(proxy_url))


async def get(
    pool: Pool, *, caller: bytes = ADA, timeouts: Timeouts = TIMEOUTS, target: bytes = b"/"
) -> RawResponse:
    return await pool.get(target, [(b"host", b"api.example")], timeouts, caller_key=caller)


# A real proxy.


def with_credentials(port: int, password: str = PASSWORD) -> str:
    return f"http://{USER}:{quote(password, safe='')}@127.0.0.1:{port}"


@needs_tinyproxy
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_pages_come_through_tinyproxy_over_one_connection(tmp_path: Path, scheme: str) -> None:
    authority = Authority(tmp_path, "authority")
    certificate = authority.server_context("127.0.0.1")

    async with (
        serving(always(http_response(PAGE)), tls=certificate if scheme == "https" else None) as server,
        tinyproxy(tmp_path) as port,
        gateway(
            None,
            upstream_url=f"{scheme}://127.0.0.1:{server.port}",
            upstream_proxy_url=with_credentials(port),
            upstream_ca_file=authority.file,
            cache_ttl_seconds=0,
        ) as client,
    ):
        answers = [await client.ask(GALLERY) for _ in range(2)]

    assert [answer["data"]["gallery"]["pagination"]["total"] for answer in answers] == [1, 1]
    assert server.connections == 1
    assert not any(b"proxy" in head.lower() for head in server.heads)
    log = (tmp_path / "tinyproxy.log").read_text()
    assert log.count(f"CONNECT 127.0.0.1:{server.port}") == 1


@needs_tinyproxy
@pytest.mark.parametrize(
    ("lines", "password", "kind"),
    [
        ([], "other", "proxy_credentials"),
        (["ConnectPort 1"], PASSWORD, "proxy_refused"),
        ([], PASSWORD, "proxy_failed"),
    ],
)
async def test_tinyproxy_refuses(tmp_path: Path, lines: Sequence[str], password: str, kind: str) -> None:
    async with serving(always(http_response(PAGE))) as gone:
        pass
    async with tinyproxy(tmp_path, *lines) as port:
        pool = pool_of(gone, with_credentials(port, password))
        with pytest.raises(httpx.ProxyError) as caught:
            await get(pool)

    assert transport_error_kind(caught.value) == kind


# What goes over the wire.


async def test_the_proxy_gets_host_port_and_credentials_and_no_token() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying() as proxy:
        pool = pool_of(server, with_credentials(proxy.port, "made:up@pass/w\u00f6rd"))
        await get(pool)
        await pool.aclose()

    name = f"127.0.0.1:{server.port}".encode()
    credentials = b64encode(f"{USER}:made:up@pass/w\u00f6rd".encode())
    assert proxy.heads == [
        b"CONNECT %b HTTP/1.1\r\nhost: %b\r\nproxy-authorization: Basic %b\r\n\r\n"
        % (name, name, credentials)
    ]
    assert server.heads == [b"GET / HTTP/1.1\r\nhost: api.example\r\n\r\n"]


async def test_without_a_user_no_credentials_are_sent() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying() as proxy:
        pool = pool_of(server, proxy.url)
        await get(pool)
        await pool.aclose()

    assert b"authorization" not in proxy.heads[0]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.example", b"api.example:443"),
        ("http://api.example", b"api.example:80"),
        ("https://api.example:8443", b"api.example:8443"),
        ("https://[2001:db8::1]", b"[2001:db8::1]:443"),
        ("https://b\u00fccher.example", b"xn--bcher-kva.example:443"),
    ],
)
async def test_the_proxy_resolves_the_name(url: str, target: bytes) -> None:
    async with proxying(b"HTTP/1.1 403 Forbidden\r\n\r\n", closes=True) as proxy:
        pool = Pool(url, max_connections=1, max_bytes=1, proxy=Proxy(proxy.url))
        with pytest.raises(httpx.ProxyError):
            await get(pool)

    assert proxy.heads[0].startswith(b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (target, target))


# Who may use a connection through a tunnel.


async def test_callers_do_not_share_a_tunnel_that_was_just_used() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying() as proxy:
        pool = Pool(server.url, max_connections=9, max_bytes=100_000, proxy=Proxy(proxy.url))
        await get(pool, caller=ADA)
        await get(pool, caller=BEN)
        await get(pool, caller=ADA)
        await pool.aclose()

    assert len(proxy.heads) == server.connections == 2


async def test_a_tunnel_with_unread_bytes_is_not_used_again() -> None:
    """The proxy itself, or the API behind it, sends more than the response."""
    async with serving(always(http_response(PAGE))) as server, proxying() as proxy:
        pool = pool_of(server, proxy.url)
        await get(pool)
        # Directly into the socket of the first tunnel, so that the loop of the pool has not read it.
        proxy.to_clients[0].get_extra_info("socket")._sock.send(http_response(b"of another"))
        response = await get(pool)
        await pool.aclose()

    assert b"".join(map(bytes, response.parts)) == PAGE
    assert len(proxy.heads) == 2


async def test_an_ended_tunnel_costs_the_caller_nothing() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying() as proxy:
        pool = pool_of(server, proxy.url)
        await get(pool)
        proxy.to_clients[0].close()
        response = await get(pool)
        await pool.aclose()

    assert response.status == 200


# Time.


async def test_the_connect_timeout_covers_the_answer_of_the_proxy() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying(b"HTTP/1.1 200 OK\r\n") as proxy:
        pool = pool_of(server, proxy.url)
        with pytest.raises(httpx.ConnectTimeout):
            await get(pool, timeouts=Timeouts(connect=0.05, first_byte=10, read=10, total=10))
        await proxy.hung_up.wait()

    assert server.connections == 0


async def test_the_total_timeout_covers_the_answer_of_the_proxy() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying(b"") as proxy:
        pool = pool_of(server, proxy.url)
        with pytest.raises(httpx.ReadTimeout) as caught:
            await get(pool, timeouts=Timeouts(connect=10, first_byte=10, read=10, total=0.05))
        await proxy.hung_up.wait()

    assert transport_error_kind(caught.value) == "total_timeout"


async def test_a_cancelled_call_gives_its_place_and_socket_back() -> None:
    async with serving(always(http_response(PAGE))) as server, proxying(b"") as proxy:
        pool = Pool(server.url, max_connections=1, max_bytes=100_000, proxy=Proxy(proxy.url))
        call = asyncio.create_task(get(pool))
        await proxy.asked.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await proxy.hung_up.wait()

        with pytest.raises(httpx.ConnectTimeout):
            await get(pool, timeouts=Timeouts(connect=0.05, first_byte=10, read=10, total=10))


# Any bytes at any boundary.


class Tunnel:
    """One end is handed to `Proxy.open_tunnel`, the other one is the proxy's."""

    def __init__(self) -> None:
        self.client, self.proxy = socket.socketpair()
        self.client.setblocking(False)
        self.proxy.setblocking(False)

    async def answer(self, pieces: Sequence[bytes], *, then_close: bool) -> str | None:
        """Send the pieces one by one, each after the last one was read; return the kind of the failure."""
        url = httpx.URL("https://api.example")
        opening = asyncio.create_task(Proxy("http://proxy.example").open_tunnel(self.client, url))
        loop = asyncio.get_running_loop()
        await loop.sock_recv(self.proxy, 65_536)
        for piece in pieces:
            if opening.done():
                break
            await loop.sock_sendall(self.proxy, piece)
            # The kernel does not tell when the other end has read.
            while not opening.done() and self._has_unread():  # noqa: ASYNC110
                await asyncio.sleep(0)
        if then_close:
            self.proxy.close()
        try:
            async with asyncio.timeout(5):
                await opening
        except httpx.ProxyError as exc:
            return transport_error_kind(exc)
        finally:
            self.client.close()
            self.proxy.close()
        return None

    def _has_unread(self) -> bool:
        try:
            return bool(self.client.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False


def pieces_of(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    at = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(at)]


def asked(data: bytes, cuts: Sequence[int] = (), *, then_close: bool = False) -> str | None:
    async def ask() -> str | None:
        return await Tunnel().answer(pieces_of(data, cuts), then_close=then_close)

    return asyncio.run(ask())


CUTS = st.lists(st.integers(0, 200), max_size=6)
HEADS = st.sampled_from(
    [
        ESTABLISHED,
        b"HTTP/1.0 200 OK\r\nVia: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 \n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + ESTABLISHED,
    ]
)


@given(HEADS, CUTS)
def test_a_2xx_in_any_pieces_opens_the_tunnel(head: bytes, cuts: list[int]) -> None:
    assert asked(head, cuts) is None


@given(HEADS, CUTS, st.integers(1, 200))
def test_a_head_that_ends_anywhere_opens_none(head: bytes, cuts: list[int], missing: int) -> None:
    cut = head[: max(0, len(head) - missing)]

    assert asked(cut, cuts, then_close=True) == "proxy_failed"


@given(HEADS, CUTS, st.binary(min_size=1, max_size=20))
def test_bytes_behind_the_head_open_none(head: bytes, cuts: list[int], more: bytes) -> None:
    # In one piece with the end of the head: later bytes belong to the tunnel.
    whole = head + more
    before = [cut for cut in cuts if cut % (len(whole) + 1) < len(head)]

    assert asked(whole, before) == "proxy_failed"


@given(
    st.sampled_from(
        [
            (401, "proxy_credentials"),
            (407, "proxy_credentials"),
            (403, "proxy_refused"),
            (302, "proxy_refused"),
        ]
    )
    | st.integers(500, 599).map(lambda status: (status, "proxy_failed")),
    CUTS,
)
def test_another_status_in_any_pieces_says_why(refusal: tuple[int, str], cuts: list[int]) -> None:
    status, kind = refusal

    assert asked(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status, cuts) == kind


@given(st.binary(max_size=200), st.integers(0, 2**32))
def test_garbage_opens_no_tunnel_and_does_not_hang(garbage: bytes, seed: int) -> None:
    rng = random.Random(seed)
    mutated = bytearray(ESTABLISHED)
    # Any but the digit of the minor version.
    mutated[rng.choice([0, 1, 2, 3, 4, 5, 6, 8])] ^= 1 << rng.randrange(8)

    assert asked(garbage, then_close=True) == "proxy_failed"
    assert asked(bytes(mutated), then_close=True) == "proxy_failed"


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\n", b""])
@pytest.mark.parametrize("line", [b"X: a\r\n", b"x", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_endless_head_opens_no_tunnel(beginning: bytes, line: bytes) -> None:
    pieces = [beginning + line * (2_000 // len(line))] * 20
    is_head = beginning and line.endswith(b"\r\n\r\n")

    # Without an end that would be a failure of its own.
    assert await Tunnel().answer(pieces, then_close=bool(is_head)) == "proxy_failed"


# Who sees it.


@pytest.mark.parametrize("status", [407, 403, 502])
async def test_neither_clients_nor_logs_see_host_or_credentials(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    answer = b"HTTP/1.1 %d No\r\nX: made-up-host.example\r\n\r\nmade-up-body" % status
    with logged(monkeypatch) as written:
        async with (
            proxying(answer, closes=True) as proxy,
            gateway(
                None,
                upstream_url="https://made-up-host.example",
                upstream_proxy_url=with_credentials(proxy.port),
                log_level="debug",
                log_format="json",
            ) as client,
        ):
            response = await client.post(GALLERY)
        lines: list[dict[str, Any]] = written.lines()

    assert response.json()["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    seen = response.text + str(response.headers) + json.dumps(lines)
    assert not [
        word for word in ("made-up-host", "made-up-body", USER, PASSWORD, "127.0.0.1") if word in seen
    ]


async def test_a_proxy_of_the_environment_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    respond: Respond = always(http_response(PAGE))
    async with serving(respond) as server, proxying() as used, proxying() as other:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, other.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        pool = pool_of(server, used.url)
        await get(pool)
        await pool.aclose()

    assert (len(used.heads), len(other.heads)) == (1, 0)
