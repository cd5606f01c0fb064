"""A client that sends raw bytes, and reads until the server closes the connection."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from tests.canary import look_at
from tests.process.serving import PATIENCE_SECONDS, Server

TYPENAME = b'{"query": "{ __typename }"}'


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    head: bytes
    body: bytes


def request(
    *headers: bytes,
    body: bytes = TYPENAME,
    line: bytes = b"POST /graphql HTTP/1.1",
    has_length: bool = True,
    closes: bool = True,
) -> bytes:
    """A whole request; `headers` come after those that it needs.

    Args:
        has_length: whether there is a Content-Length.
        closes: whether the server is asked to hang up once it has answered.
    """
    needed = [line, b"host: gateway", b"content-type: application/json"]
    if closes:
        needed.append(b"connection: close")
    lengths = [b"content-length: %d" % len(body)] if has_length else []
    return b"\r\n".join([*needed, *headers, *lengths, b"", body])


async def sent(server: Server, *parts: bytes, timeouts_seconds: float | None = None) -> list[Response]:
    """All responses to what is sent, until the server hangs up.

    Args:
        timeouts_seconds: for how long a response is waited for; then the client has nothing more to say.

    Raises:
        TimeoutError: the server neither answers nor hangs up.
    """
    reader, writer = await asyncio.open_connection(server.host, server.port)
    received = bytearray()
    with suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
        if timeouts_seconds is not None:
            with suppress(TimeoutError):
                received += await asyncio.wait_for(reader.read(65_536), timeouts_seconds)
            writer.write_eof()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                received += chunk
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    look_at("answers to raw bytes", bytes(received))
    return list(_parsed(bytes(received)))


def _parsed(received: bytes) -> list[Response]:
    responses = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, received
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        size = int(length[1]) if length else 0
        if status >= 200:
            responses.append(Response(status, head, rest[:size]))
        received = rest[size:]
    return responses


def check(response: Response) -> None:
    """What holds for an answer to anything at all: no fault of ours, and GraphQL if it is JSON."""
    assert 200 <= response.status < 500, response
    # There is no body for HEAD.
    if b"/json" in response.head and response.body:
        answer = msgspec.json.decode(response.body)
        answers = answer if isinstance(answer, list) else [answer]
        for one in answers:
            assert {"data", "errors", "detail", "status"} & set(one), response
            assert all(error["message"] and error["extensions"]["code"] for error in one.get("errors", []))
    assert b"INTERNAL_SERVER_ERROR" not in response.body
    assert b"Traceback" not in response.body
    assert b"demo-ada-token" not in response.body + response.head
