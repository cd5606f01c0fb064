"""Connections over real sockets: how responses arrive, and how they break."""

import asyncio
import gzip
import socket
import struct
from typing import Any

import pytest

from gallery_gateway.errors import GatewayError, UpstreamTimeoutError
from gallery_gateway.upstream.client import GalleryClient
from gallery_gateway.upstream.transport import Connection, Timeouts
from tests.upstream.opening import PAGE, fetch, opened
from tests.upstream.sockets import RawServer, always, http_response, serving


async def code_of_answer(raw: bytes) -> str:
    """The code of the error that these bytes of an answer, and then the end of it, lead to."""
    async with serving(always(raw, then_close=True)) as server, opened(server.url) as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)
    return caught.value.code


async def test_an_unsolicited_response_does_not_answer_the_next_request() -> None:
    answers = [http_response(PAGE) + http_response(b"{}"), http_response(PAGE)]

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    async with serving(respond) as server, opened(server.url) as client:
        fetched = [await fetch(client), await fetch(client)]

    assert [page.body for page in fetched] == [PAGE, PAGE]
    assert server.connections == 2


async def test_bytes_after_a_response_end_the_connection() -> None:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http_response(PAGE))
        await writer.drain()
        # Read by then, as nothing else is there to be read.
        await asyncio.sleep(0.05)
        writer.write(http_response(b"{}"))
        await server.wait_until_gone(writer)
        gone.set()

    gone = asyncio.Event()
    async with serving(respond) as server, opened(server.url) as client:
        await fetch(client)

        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize(
    "answer",
    [
        http_response(PAGE) + b"\0",
        http_response(PAGE, "Connection: close") + b"X",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n}" % (len(PAGE), PAGE),
    ],
)
async def test_bytes_after_a_response_do_not_change_it(answer: bytes) -> None:
    async with serving(always(answer)) as server, opened(server.url) as client:
        fetched = [await fetch(client), await fetch(client)]

    assert [page.body for page in fetched] == [PAGE, PAGE]
    assert server.connections == 2


@pytest.mark.parametrize("cut", range(1, 120, 7))
async def test_a_response_may_arrive_in_two_pieces_cut_anywhere(cut: int) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + http_response(PAGE)

    async def in_two_pieces(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer[:cut])
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(answer[cut:])

    async with serving(in_two_pieces) as server, opened(server.url) as client:
        fetched = [await fetch(client), await fetch(client)]

    assert [page.body for page in fetched] == [PAGE, PAGE]
    assert server.connections == 1


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_chunked_response_is_joined(size: int) -> None:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(piece), piece)
        for piece in (PAGE[start : start + size] for start in range(0, len(PAGE), size))
    )
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\nX-Trailer: a\r\n\r\n" % chunks

    async with serving(always(answer)) as server, opened(server.url) as client:
        fetched = [await fetch(client), await fetch(client)]

    assert [page.body for page in fetched] == [PAGE, PAGE]
    assert server.connections == 1


@pytest.mark.parametrize("options", [b"keep-alive", b"close, keep-alive", b"keep-alive\r\nConnection: close"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_an_older_version_ends_the_connection(options: bytes, is_chunked: bool) -> None:
    framing, frame = b"Content-Length: %d" % len(PAGE), PAGE
    if is_chunked:
        framing, frame = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE)
    answer = b"HTTP/1.0 200 OK\r\nConnection: %b\r\n%b\r\n\r\n%b" % (options, framing, frame)

    async with serving(always(answer)) as server, opened(server.url) as client:
        fetched = [await fetch(client), await fetch(client)]

    assert [page.body for page in fetched] == [PAGE, PAGE]
    assert server.connections == 2


async def test_a_trailer_does_not_affect_the_next_response() -> None:
    frame = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nConnection: close\r\n\r\n"
    answer = frame % (len(PAGE), PAGE)

    async with serving(always(answer)) as server, opened(server.url) as client:
        fetched = [await fetch(client), await fetch(client)]

    assert [page.body for page in fetched] == [PAGE, PAGE]
    assert server.connections == 1


async def test_white_space_around_a_header_is_no_part_of_it() -> None:
    answer = http_response(gzip.compress(PAGE), "Content-Encoding: \t gzip \t ")

    async with serving(always(answer)) as server, opened(server.url, accept_encoding="gzip") as client:
        fetched = await fetch(client)

    assert fetched.body == PAGE


async def test_the_end_of_the_connection_may_end_a_response() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + PAGE

    async with serving(always(answer, then_close=True)) as server, opened(server.url) as client:
        fetched = await fetch(client)

    assert fetched.body == PAGE


async def test_a_complete_response_survives_the_end_of_its_connection() -> None:
    ended = asyncio.Event()

    async with serving(always(http_response(PAGE), then_close=True)) as server:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(
                max_bytes=1_000_000, retire_at=loop.time() + 60, on_closed=lambda _connection: ended.set()
            ),
            "127.0.0.1",
            server.port,
        )
        timeouts = Timeouts(connect=5, first_byte=5, read=5, total=5)
        answer = await connection.send(b"GET / HTTP/1.1\r\n\r\n", timeouts, until=loop.time() + 5)
        await ended.wait()

    assert answer.error is None
    assert b"".join(answer.parts) == PAGE


async def test_a_head_without_an_end_is_not_read_for_ever() -> None:
    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-More: a\r\n" * 1_000)
            await writer.drain()

    async with serving(endless) as server, opened(server.url) as client, asyncio.timeout(5):
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


async def test_a_refused_connection_is_unavailability() -> None:
    async with serving(always(b"")) as server:
        free_port = server.port

    async with opened(f"http://127.0.0.1:{free_port}") as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


async def test_a_host_that_does_not_exist_is_unavailability() -> None:
    async with opened("http://nowhere.invalid") as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize("beginning", [b"", http_response(PAGE)[:-10]], ids=["no answer", "half a body"])
async def test_a_reset_is_unavailability(beginning: bytes) -> None:
    async def reset(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await writer.drain()
        # No time to linger: what closes it is a reset, and not an end.
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async with serving(reset) as server, opened(server.url) as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Hello there.\r\n\r\n",
        bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE),
        b"HTTP/0.9 200 OK\r\n\r\n" + PAGE,
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 042 OK\r\nContent-Length: 2\r\n\r\n{}" + http_response(PAGE),
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5_000 + b"%d\r\n\r\n%b" % (len(PAGE), PAGE),
        *(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
            % (coding, len(PAGE), PAGE)
            for coding in (
                b"chunked\t",
                b"gzip, chunked",
                b"chunked, chunked",
                b"chunked\r\nTransfer-Encoding: chunked",
                b"identity\r\nTransfer-Encoding: chunked",
            )
        ),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n" + PAGE,
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
    ids=lambda raw: repr(raw[:60]),
)
async def test_a_response_that_is_cut_off_or_not_http_is_unavailability(raw: bytes) -> None:
    assert await code_of_answer(raw) == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "UPSTREAM_CONTRACT",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "UPSTREAM_CONTRACT"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 2\r\n\r\n{}", "UPSTREAM_CONTRACT"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "UPSTREAM_CONTRACT"),
        (b"HTTP/1.1 429 No\r\nRetry-After: \xff\xd9\xa3\r\nContent-Length: 0\r\n\r\n", "RATE_LIMITED"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n{}", "UNAUTHENTICATED"),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "UPSTREAM_UNAVAILABLE"),
    ],
    ids=lambda value: repr(value[:60]),
)
async def test_an_odd_response_has_the_code_of_its_status(raw: bytes, code: str) -> None:
    assert await code_of_answer(raw) == code


async def test_a_connection_that_is_not_made_in_time_is_a_timeout() -> None:
    async with serving(always(b"")) as server:
        # Accepted, and then no word of TLS.
        url = server.url.replace("http:", "https:")
        async with opened(url, connect_seconds=0.05) as client, asyncio.timeout(5):
            with pytest.raises(UpstreamTimeoutError):
                await fetch(client)


@pytest.mark.parametrize(
    ("beginning", "timeouts"),
    [
        (b"", {"first_byte_seconds": 0.05}),
        (http_response(PAGE)[:-10], {"read_seconds": 0.05}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {"read_seconds": 0.05}),
    ],
    ids=["no answer", "half a body", "no chunk"],
)
async def test_silence_times_out_before_the_call_does(beginning: bytes, timeouts: dict[str, Any]) -> None:
    async with (
        serving(always(beginning)) as server,
        opened(server.url, **timeouts) as client,
        asyncio.timeout(5),
    ):
        with pytest.raises(UpstreamTimeoutError):
            await fetch(client)


async def test_the_first_byte_has_a_timeout_of_its_own() -> None:
    async with (
        serving(always(b"")) as server,
        opened(server.url, first_byte_seconds=0.05) as client,
        asyncio.timeout(5),
    ):
        with pytest.raises(UpstreamTimeoutError):
            await fetch(client)


async def test_a_response_that_has_begun_may_pause_for_the_read_timeout() -> None:
    answer = http_response(PAGE)

    async def in_two_parts(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer[:100])
        await asyncio.sleep(0.05)
        writer.write(answer[100:150])
        await asyncio.sleep(0.4)
        writer.write(answer[150:])

    async with serving(in_two_parts) as server, opened(server.url, first_byte_seconds=0.2) as client:
        fetched = await fetch(client)

    assert fetched.body == PAGE


async def test_a_body_that_drips_for_ever_is_a_timeout() -> None:
    async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as server, opened(server.url, read_seconds=5, total_seconds=0.1) as client:
        with pytest.raises(UpstreamTimeoutError):
            await fetch(client)


async def test_a_full_pool_is_a_timeout() -> None:
    async with (
        serving(always(b"")) as server,
        opened(server.url, max_connections=1, total_seconds=0.1) as client,
    ):
        answers = await asyncio.gather(*(fetch(client) for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [UpstreamTimeoutError] * 3


async def _cancel_many(client: GalleryClient, server: RawServer, *, under_way: int) -> None:
    calls = [asyncio.create_task(fetch(client)) for _ in range(20)]
    await server.wait_for_requests(under_way)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize(
    "beginning", [b"", http_response(PAGE)[:-10]], ids=["no answer yet", "within the body"]
)
async def test_cancelled_calls_leave_the_pool_usable(beginning: bytes) -> None:
    answers = [beginning, beginning]

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop() if answers else http_response(PAGE))

    async with serving(respond) as server, opened(server.url, max_connections=2) as client:
        await _cancel_many(client, server, under_way=2)

        pages = await asyncio.gather(*(fetch(client) for _ in range(4)))

    assert [len(fetched.body) for fetched in pages] == [len(PAGE)] * 4


async def test_refused_responses_leave_the_pool_usable() -> None:
    answers = [http_response(b" " * 2_000_000)] * 4

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop() if answers else http_response(PAGE))

    async with serving(respond) as server, opened(server.url, max_connections=2) as client:
        await asyncio.gather(*(fetch(client) for _ in range(4)), return_exceptions=True)

        fetched = await fetch(client)

    assert len(fetched.body) == len(PAGE)
