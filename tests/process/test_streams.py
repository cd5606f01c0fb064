"""Event streams of the real process: a thousand at once, their end, and clients of all kinds."""

import asyncio
import json
import re
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.benchmarks.load import cpu_seconds
from tests.benchmarks.servers import rss_bytes
from tests.fakes import TOKEN, page_body, project_body
from tests.process.serving import PATIENCE_SECONDS, Connection, Server, SlowUpstream, operation, serve
from tests.process.test_workers import started

COUNT = 1_000
PER_CALLER = 20
# Those who hang up before.
LEAVING = 200
NAME = "subscription { gallery { projects { projectName pendingImages } } }"
COMPLETE = b"event: complete\ndata:\n\n"
_MEBIBYTE = 1024 * 1024


def pending_page(name: str = "shirt") -> dict[str, Any]:
    return page_body(project_body(7, project_name=name, total_images=3, completed_images=1))


def subscription(token: str = TOKEN, **options: Any) -> bytes:
    return operation(NAME, token=token, accept="text/event-stream", **options)


async def subscribed(server: Server, token: str = TOKEN) -> Connection:
    """A client that has got its first event."""
    connection = await server.connect()
    await connection.send(subscription(token))
    await connection.until(b"event: next\n")
    await connection.until(b"\n\n")
    return connection


async def subscribed_all(server: Server, count: int) -> list[Connection]:
    tokens = [f"{TOKEN}-{number // PER_CALLER}" for number in range(count)]
    return [await subscribed(server, token) for token in tokens]


def open_files(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def ended(server: Server, count: int) -> None:
    """Wait until the server has logged the end of so many streams."""
    await server.printed('"subscription.ended"', times=count)


def ends(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.lines if '"subscription.ended"' in line]


def answer_pending(slow: SlowUpstream) -> None:
    """Answer at once, with images that are never finished."""
    slow.page = pending_page
    slow.release()


async def test_a_thousand_streams_are_small_and_cheap_and_end_when_they_are_told(
    endpoint: tuple[SlowUpstream, str], slow: SlowUpstream
) -> None:
    answer_pending(slow)
    async with serve(endpoint[1], shutdown_grace_seconds=10) as server:
        await (await subscribed(server)).hang_up()
        await ended(server, 1)
        files = open_files(server)
        for stream in await subscribed_all(server, LEAVING):
            await stream.hang_up()
        await ended(server, 1 + LEAVING)
        left = open_files(server)
        # The place of each is free again.
        bytes_before = rss_bytes(server.process.pid)
        streams = await subscribed_all(server, COUNT)
        grown_bytes = rss_bytes(server.process.pid) - bytes_before
        cpu_before = cpu_seconds(server.process.pid)
        # Each stream polls about once meanwhile.
        await slow.arrived(len(slow.requests) + COUNT // PER_CALLER)
        look_seconds = (cpu_seconds(server.process.pid) - cpu_before) / COUNT
        server.process.send_signal(signal.SIGTERM)
        texts = await asyncio.gather(*(stream.rest() for stream in streams))
        status = await server.ended(within_seconds=10)
    assert status == 0
    assert all(text.endswith(COMPLETE + b"\r\n0\r\n\r\n") for text in texts)
    # Connections to the REST API may stay open, one for each caller.
    assert left <= files + LEAVING // PER_CALLER + 1
    assert grown_bytes / COUNT < 100_000
    assert look_seconds < 0.003
    assert "Traceback" not in "".join(server.lines)
    assert [line["reason"] for line in ends(server)[1 + LEAVING :]] == ["shutdown"] * COUNT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_every_stream_is_complete_after_a_signal(
    server: Server, slow: SlowUpstream, number: int
) -> None:
    answer_pending(slow)
    streams = await subscribed_all(server, 40)
    server.process.send_signal(number)
    texts = await asyncio.gather(*(stream.rest() for stream in streams))

    assert all(text.endswith(COMPLETE + b"\r\n0\r\n\r\n") for text in texts)
    await server.ended(within_seconds=1.5)
    assert "Traceback" not in "".join(server.lines)


async def test_streams_that_still_load_are_complete_after_a_signal(
    server: Server, slow: SlowUpstream
) -> None:
    stream = await server.connect()
    await stream.send(subscription())
    await slow.arrived(1)

    server.process.send_signal(signal.SIGTERM)

    assert (await stream.rest()).endswith(COMPLETE + b"\r\n0\r\n\r\n")
    await server.ended(within_seconds=1.5)
    assert "Traceback" not in "".join(server.lines)


async def test_streams_end_when_the_delay_begins_and_no_others_are_opened(
    endpoint: tuple[SlowUpstream, str], slow: SlowUpstream
) -> None:
    answer_pending(slow)
    async with serve(endpoint[1], shutdown_delay_seconds=120, shutdown_grace_seconds=2) as server:
        stream = await subscribed(server)
        server.process.send_signal(signal.SIGTERM)
        last = await stream.until(b"0\r\n\r\n")
        late, query = await server.connect(), await server.connect()
        await late.send(subscription())
        head, body = await late.response()
        await query.send(operation())
        answered, _ = await query.answer()
        server.process.send_signal(signal.SIGTERM)

        assert last.endswith(COMPLETE + b"\r\n0\r\n\r\n")
        assert head.startswith("http/1.1 503 ")
        assert "\r\nretry-after: " in head
        assert json.loads(body)["errors"][0]["extensions"]["code"] == "OVERLOADED"
        assert answered == 200
        assert await server.ended() == 0
    await stream.hang_up()
    await late.hang_up()


async def test_the_streams_of_each_worker_are_complete(
    endpoint: tuple[SlowUpstream, str], slow: SlowUpstream
) -> None:
    answer_pending(slow)
    async with serve(endpoint[1], workers=2, shutdown_grace_seconds=10) as server:
        await started(server, 2)
        workers: set[str] = set()
        streams: list[Connection] = []
        while len(workers) < 2:
            stream = await server.connect()
            await stream.send(subscription(f"{TOKEN}-{len(streams)}"))
            head, _ = await stream.head()
            workers |= set(re.findall(r"x-request-id: (\w+)-", head))
            streams.append(stream)
        server.process.send_signal(signal.SIGTERM)
        texts = await asyncio.gather(*(stream.rest() for stream in streams))

        assert await server.ended(within_seconds=10) == 0
    assert all(text.endswith(COMPLETE + b"\r\n0\r\n\r\n") for text in texts)
    assert "Traceback" not in "".join(server.lines)


class Growing:
    """Pages of 300 KB that differ each time, and how many there have been."""

    def __init__(self) -> None:
        self.count = 0
        self._grown = asyncio.Event()

    def __call__(self) -> dict[str, Any]:
        self.count += 1
        self._grown.set()
        text = "x" * 3_000
        projects = [
            project_body(number, project_name=f"{self.count} {text}", total_images=1) for number in range(100)
        ]
        return page_body(*projects)

    async def grown(self, count: int) -> None:
        """Wait for so many more pages."""
        count += self.count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.count < count:
                self._grown.clear()
                await self._grown.wait()


async def connected_slowly(server: Server) -> Connection:
    """A client for which the system keeps little that it has not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (server.host, server.port))
    return Connection(*await asyncio.open_connection(sock=client, limit=4096))


async def test_a_client_that_does_not_read_takes_bounded_memory_and_then_gets_the_latest(
    endpoint: tuple[SlowUpstream, str], slow: SlowUpstream
) -> None:
    slow.page = growing = Growing()
    slow.release()
    async with serve(endpoint[1], cache_unfinished_ttl_seconds=0.02) as server:
        fast, waiting = await server.connect(), await connected_slowly(server)
        stuck = await connected_slowly(server)
        for connection in (fast, waiting, stuck):
            await connection.send(subscription())
        following = asyncio.create_task(fast.rest())
        await growing.grown(30)
        bytes_before = rss_bytes(server.process.pid)
        await growing.grown(50)
        grown_bytes = rss_bytes(server.process.pid) - bytes_before
        reading = asyncio.create_task(waiting.rest())
        await growing.grown(30)
        server.process.send_signal(signal.SIGTERM)
        text, all_text = await reading, await following
        # The client that never reads holds up nothing.
        status = await server.ended(within_seconds=5)
        await stuck.hang_up()

    versions = [int(number) for number in re.findall(rb'"projects":\[\{"projectName":"(\d+) ', text)]
    every = [int(number) for number in re.findall(rb'"projects":\[\{"projectName":"(\d+) ', all_text)]
    assert status == 0
    assert grown_bytes < 20 * _MEBIBYTE
    assert len(versions) < len(every) - 30
    # Those before the last 50 were sent while it did not read. On a busy machine it lags by some.
    assert versions[-1] >= every[-1] - 20
    assert text.endswith(COMPLETE + b"\r\n0\r\n\r\n")
    assert "Traceback" not in "".join(server.lines)


async def test_a_client_that_does_not_read_is_disconnected_after_the_timeout_of_requests(
    endpoint: tuple[SlowUpstream, str], slow: SlowUpstream
) -> None:
    slow.page = Growing()
    slow.release()
    async with serve(endpoint[1], cache_unfinished_ttl_seconds=0.02, request_timeout_seconds=1) as server:
        stuck = await connected_slowly(server)
        await stuck.send(subscription())
        await ended(server, 1)
        await stuck.hang_up()

    assert [line["reason"] for line in ends(server)] == ["disconnected"]


async def test_a_client_that_has_not_read_the_last_event_does_not_hold_up_the_end(
    endpoint: tuple[SlowUpstream, str], slow: SlowUpstream
) -> None:
    """Nothing else is being sent to it when the process ends."""
    # More than the system keeps for a connection.
    page = pending_page("x" * 8_000_000)
    slow.page = lambda: page
    slow.release()
    async with serve(endpoint[1], shutdown_grace_seconds=30) as server:
        stuck = await connected_slowly(server)
        await stuck.send(subscription())
        await stuck.until(b"event: next\n")
        server.process.send_signal(signal.SIGTERM)
        status = await server.ended(within_seconds=5)
        await stuck.hang_up()

    assert status == 0
    assert "Traceback" not in "".join(server.lines)
    assert [line["reason"] for line in ends(server)] == ["shutdown"]


async def test_a_request_behind_a_stream_is_answered_after_it(server: Server, slow: SlowUpstream) -> None:
    slow.status = 401
    connection = await server.connect()
    await connection.send(subscription() + operation("{ __typename }"))
    await slow.arrived(1)

    slow.release()
    events = await connection.until(COMPLETE + b"\r\n0\r\n\r\n")
    head, body = await connection.response()

    assert b"UNAUTHENTICATED" in events
    assert head.startswith("http/1.1 200 ")
    assert body == b'{"data":{"__typename":"Query"}}'
    await connection.hang_up()


async def test_http_1_0_gets_a_stream_without_chunks_that_ends_with_the_connection(
    server: Server, slow: SlowUpstream
) -> None:
    slow.status = 401
    slow.release()
    connection = await server.connect()
    await connection.send(subscription(version="1.0"))

    head, _ = await connection.head()
    text = await connection.rest()

    assert "transfer-encoding" not in head
    assert "\r\nconnection: close\r\n" in head
    assert re.fullmatch(rb"retry: \d+\n\nevent: next\ndata: {.*}\n\nevent: complete\ndata:\n\n", text)


async def test_head_gets_the_head_of_a_stream_and_opens_none(server: Server, slow: SlowUpstream) -> None:
    query = urlencode({"query": NAME})
    connection = await server.connect()
    await connection.send(
        f"HEAD /graphql?{query} HTTP/1.1\r\nhost: gateway\r\naccept: text/event-stream\r\n"
        f"apollo-require-preflight: 1\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )

    head, _ = await connection.head()
    await connection.send(operation("{ __typename }"))
    after, body = await connection.response()

    assert head.startswith("http/1.1 200 ")
    assert "\r\ncontent-type: text/event-stream" in head
    assert "\r\nx-accel-buffering: no\r\n" in head
    assert after.startswith("http/1.1 200 ")
    assert body == b'{"data":{"__typename":"Query"}}'
    assert slow.requests == []
    await connection.hang_up()
