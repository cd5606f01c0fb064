"""Connections over TLS, and those that are used again."""

import asyncio
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.upstream.proxy import Proxy
from gallery_gateway.upstream.transport import ClosedError, Pool, RawResponse, Timeouts, TotalTimeoutError
from tests.upstream.certificates import load_keys_openssl, self_signed
from tests.upstream.sockets import always, http_response, serving, serving_in_thread
from tests.upstream.tunnels import proxying

HEAD = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
PATIENCE = Timeouts(connect=5, first_byte=5, read=5, total=5)
LARGE = b"x" * 1_000_000


def opened(
    url: str, *, trusted: ssl.SSLContext | None = None, max_connections: int = 2, **options: Any
) -> Pool:
    return Pool(
        url,
        max_connections=max_connections,
        max_bytes=2_000_000,
        ssl_context=trusted,
        **options,
    )


async def ask(pool: Pool) -> RawResponse:
    return await pool.send(HEAD, PATIENCE, caller_key=None)


@load_keys_openssl
async def test_responses_arrive_over_one_tls_connection(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)

    async with serving(always(http_response(LARGE)), tls=certificate.server) as server:
        pool = opened(server.url.replace("http:", "https:"), trusted=certificate.client)
        answers = [await ask(pool) for _ in range(3)]
        await pool.aclose()

    assert [b"".join(answer.parts) for answer in answers] == [LARGE] * 3
    assert server.connections == 1


@load_keys_openssl
async def test_no_request_is_sent_to_a_host_with_the_wrong_certificate(tmp_path: Path) -> None:
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
        await pool.aclose()

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
        await pool.aclose()

    assert answer.status == 200
    assert server.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url, idle_seconds=0.01)
        await ask(pool)
        await asyncio.sleep(0.02)

        await ask(pool)
        await pool.aclose()

    assert server.connections == 2


async def test_a_cancelled_call_closes_its_connection() -> None:
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
async def test_a_response_that_is_too_large_is_not_read_to_its_end(length: bytes) -> None:
    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % length)
        while not writer.is_closing():
            writer.write(b"10000\r\n%b\r\n" % (b"x" * 0x10000))
            await writer.drain()

    async with serving(endless) as server, asyncio.timeout(5):
        answer = await ask(opened(server.url))

    assert 2_000_000 < answer.body_bytes < 4_000_000


@pytest.mark.parametrize("surplus", [b"", b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
async def test_surplus_bytes_are_not_part_of_the_response(surplus: bytes) -> None:
    whole = http_response(LARGE) + surplus

    async def in_two_pieces(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(whole[:100])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(whole[100:])

    async with serving(in_two_pieces) as server:
        pool = opened(server.url)
        answers = [await ask(pool) for _ in range(2)]
        await pool.aclose()

    assert [b"".join(answer.parts) for answer in answers] == [LARGE] * 2
    assert server.connections == (2 if surplus else 1)


ADA, BEN = b"key-of-ada", b"key-of-ben"


async def ask_as(pool: Pool, caller_key: bytes) -> RawResponse:
    head = b"GET /%b HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % caller_key
    return await pool.send(head, PATIENCE, caller_key=caller_key)


def whose(answer: RawResponse) -> bytes:
    return b"".join(answer.parts)


def owner_in(head: bytes) -> bytes:
    """The caller for whom a request was made, as its path says."""
    return head.split(b" ", 2)[1][1:]


async def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def finish(writer: asyncio.StreamWriter) -> None:
    """End a connection by FIN."""
    writer.close()


async def test_bytes_that_arrive_while_the_loop_is_busy_do_not_answer_the_next_caller() -> None:
    has_repeated = threading.Event()

    async def twice(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http_response(owner_in(head)))
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(http_response(owner_in(head)))
        has_repeated.set()

    answers = []
    # In a thread, so that it goes on sending while this loop is busy.
    with serving_in_thread(twice) as url:
        for _ in range(20):
            pool = opened(url, max_connections=1)
            for caller in (ADA, BEN, ADA):
                has_repeated.clear()
                answers.append(whose(await ask_as(pool, caller)))
                # The loop is busy, and then the connection seems to have been silent for long enough.
                assert has_repeated.wait(5)
                time.sleep(0.03)  # noqa: ASYNC251  # the loop is to be busy
            await pool.aclose()

    assert answers == [ADA, BEN, ADA] * 20


@pytest.mark.parametrize("is_tunnelled", [False, True])
async def test_an_upstream_that_answers_everything_twice_shows_no_caller_anothers_response(
    is_tunnelled: bool,
) -> None:
    async def twice(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http_response(owner_in(head)))
        await writer.drain()
        await asyncio.sleep(random.uniform(0, 0.003))
        writer.write(http_response(owner_in(head)))

    callers = [b"caller-%d" % number for number in range(8)]
    foreign = []
    with serving_in_thread(twice) as url:
        async with proxying() as proxy:
            through = Proxy(proxy.url) if is_tunnelled else None
            pool = opened(url, max_connections=20, proxy=through)

            async def go_on(caller: bytes) -> None:
                for _ in range(60):
                    seen = whose(await ask_as(pool, caller))
                    if seen != caller:
                        foreign.append((caller, seen))
                    await asyncio.sleep(random.uniform(0, 0.002))

            await asyncio.gather(*map(go_on, callers))
            await pool.aclose()

    assert foreign == []
    assert bool(proxy.heads) == is_tunnelled


async def test_a_caller_gets_the_connection_it_used_last() -> None:
    seen: dict[bytes, set[object]] = {ADA: set(), BEN: set()}

    async def respond(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen[owner_in(head)].add(writer)
        writer.write(http_response(b"{}"))

    async with serving(respond) as server:
        pool = opened(server.url)
        for _ in range(5):
            await ask_as(pool, ADA)
            await ask_as(pool, BEN)
        await pool.aclose()

    assert [len(connections) for connections in seen.values()] == [1, 1]
    assert server.connections == 2


async def test_a_connection_that_was_just_used_is_not_handed_to_another_caller() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url, max_connections=2)
        await ask_as(pool, ADA)
        await ask_as(pool, BEN)
        await pool.aclose()

    assert server.connections == 2


async def test_with_all_connections_open_a_call_waits_until_one_is_silent() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url, max_connections=1)
        await ask_as(pool, ADA)
        began = asyncio.get_running_loop().time()
        await ask_as(pool, BEN)
        seconds = asyncio.get_running_loop().time() - began
        await pool.aclose()

    assert server.connections == 1
    assert seconds >= 0.024


async def test_a_connection_that_was_silent_for_a_while_serves_another_caller() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url, max_connections=8, silent_seconds=0.01)
        await ask_as(pool, ADA)
        await asyncio.sleep(0.02)
        await ask_as(pool, BEN)
        await pool.aclose()

    assert server.connections == 1


async def test_many_callers_in_turn_share_connections_that_were_silent_for_a_moment() -> None:
    async def after_a_moment(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(http_response(b"{}"))

    async with serving(after_a_moment) as server:
        pool = opened(server.url, max_connections=20)
        for number in range(100):
            await ask_as(pool, b"caller-%d" % number)
        await pool.aclose()

    # Ten until half of them are open; then one that was silent for 25 ms is always there.
    assert server.connections == 10


@pytest.mark.parametrize("end", [finish, reset])
async def test_a_used_connection_that_ends_instead_of_answering_costs_the_caller_nothing(
    end: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> None:
    answered: Counter[asyncio.StreamWriter] = Counter()

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        answered[writer] += 1
        if answered[writer] == 3:
            await end(writer)
        else:
            writer.write(http_response(b"{}"))

    async with serving(respond) as server:
        pool = opened(server.url)
        answers = [await ask_as(pool, ADA) for _ in range(200)]
        await pool.aclose()

    assert [answer.status for answer in answers] == [200] * 200
    assert server.connections == 100


async def test_requests_through_a_server_that_closes_at_random_moments_are_all_answered(
    request: pytest.FixtureRequest,
) -> None:
    chance = random.Random(7)
    used: set[asyncio.StreamWriter] = set()

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        is_new, kind = writer not in used, chance.random()
        used.add(writer)
        if is_new or kind > 0.2:
            writer.write(http_response(b"{}"))
        # Before an answer, after it, or later while the connection is idle; by FIN or by RST.
        if (kind < 0.2 and not is_new) or 0.2 < kind < 0.3:
            await (finish if chance.random() < 0.5 else reset)(writer)
        elif kind > 0.9:
            asyncio.get_running_loop().call_later(chance.random() / 100, writer.close)

    count = request.config.getoption("--reuse-calls")
    async with serving(respond) as server:
        pool = opened(server.url)
        answers = Counter([(await ask_as(pool, ADA)).status for _ in range(count)])
        await pool.aclose()

    assert answers == {200: count}


async def test_idle_connections_that_are_all_reset_cost_the_next_callers_nothing() -> None:
    release = asyncio.Event()
    writers = []

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await release.wait()
        writer.write(http_response(b"{}"))

    async with serving(respond) as server:
        pool = opened(server.url, max_connections=12)
        asking = [asyncio.create_task(ask_as(pool, ADA)) for _ in range(12)]
        await server.wait_for_requests(12)
        release.set()
        await asyncio.gather(*asking)
        for writer in writers[:12]:
            await reset(writer)

        answers = await asyncio.gather(*(ask_as(pool, ADA) for _ in range(20)))
        await pool.aclose()

    assert [answer.status for answer in answers] == [200] * 20


@pytest.mark.parametrize("status", ["408 Request Timeout", "421 Misdirected Request", "425 Too Early"])
async def test_a_status_about_a_used_connection_leads_to_a_new_one(status: str) -> None:
    used: set[asyncio.StreamWriter] = set()

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http_response(b"{}", status=status if writer in used else "200 OK"))
        used.add(writer)

    async with serving(respond) as server:
        pool = opened(server.url)
        answers = [await ask_as(pool, ADA) for _ in range(3)]
        await pool.aclose()

    assert [answer.status for answer in answers] == [200] * 3
    assert server.connections == 3


async def test_a_new_connection_that_ends_instead_of_answering_is_a_failure_and_not_replaced() -> None:
    async with serving(always(b"", then_close=True)) as server:
        pool = opened(server.url)
        with pytest.raises(ClosedError):
            await ask_as(pool, ADA)
        await pool.aclose()

    assert server.connections == 1


async def test_a_used_connection_that_breaks_off_within_an_answer_is_a_failure() -> None:
    used: set[asyncio.StreamWriter] = set()

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if writer in used:
            writer.write(b"HTTP/1.1 2")
            writer.close()
        else:
            used.add(writer)
            writer.write(http_response(b"{}"))

    async with serving(respond) as server:
        pool = opened(server.url)
        await ask_as(pool, ADA)
        with pytest.raises(httpx.ReadError):
            await ask_as(pool, ADA)
        await pool.aclose()

    assert server.connections == 1


async def test_a_name_that_moves_is_followed_while_the_pool_is_busy() -> None:
    async with serving(always(http_response(b"{}"))) as server:
        pool = opened(server.url, max_age_seconds=0.05)
        async with asyncio.timeout(5):
            while server.connections < 3:
                await ask_as(pool, ADA)
        await pool.aclose()


async def test_a_connection_whose_call_ends_after_the_pool_was_closed_is_closed_too() -> None:
    release = asyncio.Event()
    gone = asyncio.Event()

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(http_response(b"{}"))
        await writer.drain()
        await server.wait_until_gone(writer)
        gone.set()

    async with serving(respond) as server, asyncio.timeout(5):
        pool = opened(server.url)
        asking = asyncio.create_task(ask_as(pool, ADA))
        await server.wait_for_requests(1)

        await pool.aclose()
        release.set()

        assert (await asking).status == 200
        await gone.wait()


async def test_a_connection_that_takes_longer_than_the_call_is_a_total_timeout() -> None:
    async with serving(always(b"")) as server:
        # Accepted, and then no word of TLS.
        pool = opened(server.url.replace("http:", "https:"))
        with pytest.raises(TotalTimeoutError):
            await pool.send(HEAD, Timeouts(connect=5, first_byte=5, read=5, total=0.05), caller_key=ADA)
        await pool.aclose()
