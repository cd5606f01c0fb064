"""Responses without a length: chunks for HTTP/1.1, and the end of the connection for HTTP/1.0."""

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.edge.wire.serving import exchange, served

PIECES = [b"one ", b"", b"two ", b"three"]


class StreamingApp:
    """Sends `PIECES`, with their length if the path says so."""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"13")] if scope["path"] == "/known" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in PIECES:
            message: Message = {"type": "http.response.body", "body": piece, "more_body": True}
            await send(message)
        await send({"type": "http.response.body"})


async def response(method: str, path: str, version: str) -> tuple[dict[bytes, bytes], bytes]:
    """The headers and all that follows them until the server hangs up."""
    app: Any = StreamingApp()
    async with served(app) as server:
        request = f"{method} {path} HTTP/{version}\r\nhost: gateway\r\nconnection: close\r\n\r\n"
        head, _, rest = (await exchange(server.port, request.encode())).partition(b"\r\n\r\n")
    lines = [line.split(b": ") for line in head.split(b"\r\n")[1:]]
    return {name: value for name, value in lines if name != b"date"}, rest


async def test_http_1_0_gets_no_chunks() -> None:
    headers, body = await response("GET", "/unknown", "1.0")

    assert headers == {b"connection": b"close"}
    assert body == b"one two three"


async def test_http_1_1_gets_chunks() -> None:
    headers, body = await response("GET", "/unknown", "1.1")

    assert headers == {b"connection": b"close", b"transfer-encoding": b"chunked"}
    assert body == b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_length_is_sent_to_every_version(version: str) -> None:
    headers, body = await response("GET", "/known", version)

    assert headers == {b"connection": b"close", b"content-length": b"13"}
    assert body == b"one two three"


@pytest.mark.parametrize("path", ["/known", "/unknown"])
async def test_the_head_of_a_response_to_http_1_0_has_no_body(path: str) -> None:
    headers, body = await response("HEAD", path, "1.0")

    assert b"transfer-encoding" not in headers
    assert body == b""
