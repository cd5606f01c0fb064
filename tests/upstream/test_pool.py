"""Connections over TLS, and those that are used again."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest

from gallery_gateway.upstream.answer import Answer, Patience
from gallery_gateway.upstream.pool import Pool
from tests.upstream.certificates import self_signed, wants_openssl
from tests.upstream.sockets import always, http_response, serving

HEAD = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
PATIENCE = Patience(connect=5, first_byte=5, read=5, total=5)
LARGE = b"x" * 1_000_000


def opened(url: str, *, trusted: ssl.SSLContext | None = None, idle_seconds: float = 5) -> Pool:
    context = trusted or ssl.create_default_context()
    return Pool(
        httpx.URL(url),
        max_connections=2,
        max_bytes=2_000_000,
        trust=lambda: context,
        idle_seconds=idle_seconds,
    )


async def ask(pool: Pool) -> Answer:
    return await pool.ask(HEAD, PATIENCE, caller_key=None)


@wants_openssl
async def test_an_answer_comes_over_tls_and_the_connection_is_used_again(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)

    async with serving(always(http_response(LARGE)), tls=certificate.server) as server:
        pool = opened(server.url.replace("http:", "https:"), trusted=certificate.client)
        answers = [await ask(pool) for _ in range(3)]
        pool.close()

    assert [b"".join(answer.parts) for answer in answers] == [LARGE] * 3
    assert server.connections == 1


@wants_openssl
async def test_a_certificate_for_another_host_gets_no_request(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)

    async with serving(always(http_response(b"{}")), tls=certificate.server) as server:
        pool = opened(f"https://localhost:{server.port}", trusted=certificate.client)
        with pytest.raises(httpx.ConnectError):
            await ask(pool)

    assert server.heads == []


async def test_no_more_connections_are_open_at_a_time_than_are_allowed() -> None:
    async with serving(always(http_response(LARGE))) as server:
        pool = opened(server.url)
        answers = await asyncio.gather(*(ask(pool) for _ in range(20)))
        pool.close()

    assert len(answers) == 20
    assert server.connections == 2


async def test_a_connection_that_was_closed_while_idle_is_not_used_again() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url)
        await ask(pool)
        await server.hang_up()
        # Until the end of the connection has come.
        await asyncio.sleep(0.05)

        answer = await ask(pool)
        pool.close()

    assert answer.status == 200
    assert server.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url, idle_seconds=0.01)
        await ask(pool)
        await asyncio.sleep(0.02)

        await ask(pool)
        pool.close()

    assert server.connections == 2


async def test_whoever_gives_up_hangs_up() -> None:
    async def silent(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await server.wait_until_gone(writer)
        gone.set()

    gone = asyncio.Event()
    async with serving(silent) as server, asyncio.timeout(5):
        asking = asyncio.create_task(ask(opened(server.url)))
        await server.wait_for_requests(1)

        asking.cancel()

        await gone.wait()
    assert asking.cancelled()


@pytest.mark.parametrize("length", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(length: bytes) -> None:
    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % length)
        while not writer.is_closing():
            writer.write(b"10000\r\n%b\r\n" % (b"x" * 0x10000))
            await writer.drain()

    async with serving(endless) as server, asyncio.timeout(5):
        answer = await ask(opened(server.url))

    assert 2_000_000 < answer.body_bytes < 4_000_000


@pytest.mark.parametrize("surplus", [b"", b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
async def test_of_what_comes_too_much_the_answer_alone_is_taken(surplus: bytes) -> None:
    whole = http_response(LARGE) + surplus

    async def in_two_pieces(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(whole[:100])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(whole[100:])

    async with serving(in_two_pieces) as server:
        pool = opened(server.url)
        answers = [await ask(pool) for _ in range(2)]
        pool.close()

    assert [b"".join(answer.parts) for answer in answers] == [LARGE] * 2
    assert server.connections == (2 if surplus else 1)
