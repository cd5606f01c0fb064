"""One request and its answer on a raw connection, with everything that a server must not do to it."""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.upstream.sockets import RawServer, http_response


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked, what would be the right answer to it, and where to write another.

    Args:
        head: of the request, as it came.
        page: the right answer's body, before it is JSON.
        server: what it came to.
        number: of the request on its connection, from 1.
        delay_seconds: what the slow faults wait between two things that they do.
    """

    head: bytes
    page: dict[str, Any]
    writer: asyncio.StreamWriter
    server: RawServer
    number: int
    delay_seconds: float

    @property
    def body(self) -> bytes:
        return json.dumps(self.page).encode()

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, body: bytes | None = None, *headers: str, status: str = "200 OK") -> None:
        """Send a complete response, by default the right one."""
        body = self.body if body is None else body
        await self.send(http_response(body, "Content-Type: application/json", *headers, status=status))

    async def wait(self) -> None:
        await asyncio.sleep(self.delay_seconds)

    async def silence(self) -> None:
        """Until the client has gone, or the server ends."""
        await self.server.wait_until_gone(self.writer)
        self.writer.close()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        # No time to linger: what closes it is a reset, and not an end.
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def parameters_in(head: bytes) -> dict[str, str]:
    """The query parameters of a request; of a repeated one, the last."""
    target = head.split(b" ", 2)[1].decode()
    return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
