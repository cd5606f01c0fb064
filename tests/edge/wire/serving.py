"""The real server on a real port over the app that records, and clients that send streams as they are cut."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn

from tests.edge.wire.driving import Outcome, server_options
from tests.edge.wire.recording import RecordingApp
from tests.process.serving import PATIENCE_SECONDS

_LAST = b"GET /last HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n"


class Wire:
    """One connection, and all that has come on it so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = bytearray()
        self._reader = reader
        self._writer = writer
        # What is sent is in the system's hands before `send` returns.
        writer.transport.set_write_buffer_limits(0)
        self._reading = asyncio.create_task(self._read())

    @property
    def is_closed(self) -> bool:
        """Whether the other side has hung up."""
        return self._reading.done()

    async def send(self, pieces: Sequence[bytes]) -> None:
        """Sends one after the other, with the loop turned in between, until the other side hangs up."""
        with suppress(ConnectionError):
            for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()
                await asyncio.sleep(0)
                if self.is_closed:
                    return

    async def has_come(self, timeouts_seconds: float) -> bytes:
        """All that comes until the other side hangs up, or for so long."""
        await asyncio.wait([self._reading], timeout=timeouts_seconds)
        return bytes(self.received)

    async def ended(self) -> bytes:
        """All that comes until the other side hangs up."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([self._reading])
        return bytes(self.received)

    async def hang_up(self) -> None:
        self._reading.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while chunk := await self._reader.read(65_536):
                self.received += chunk


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection that is hung up in the end."""
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield wire
    finally:
        await wire.hang_up()


async def exchange(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the other side hangs up."""
    async with connected(port) as wire:
        await wire.send(pieces)
        return await wire.ended()


class Listening:
    """The server, in the test's own loop."""

    def __init__(self, app: RecordingApp, port: int) -> None:
        self.port = port
        self._app = app

    async def outcome(self, pieces: Sequence[bytes], *, timeouts_seconds: float = 0.0) -> Outcome:
        """What becomes of a stream; one at a time, since the app keeps one list.

        Args:
            timeouts_seconds: for how long more is waited for, if the other side does not hang up.
        """
        self._app.records.clear()
        async with connected(self.port) as wire:
            await wire.send(pieces)
            # Whoever comes later is answered later, and what the app answers takes no time.
            for _ in range(2):
                await exchange(self.port, _LAST)
            await wire.has_come(timeouts_seconds)
            records = tuple(record for record in self._app.records if record.path != b"/last")
            return Outcome(bytes(wire.received), records, wire.is_closed)


@asynccontextmanager
async def served(app: RecordingApp, **options: Any) -> AsyncIterator[Listening]:
    """Serves `app` as the command line would, but for the options of uvicorn's that are given."""
    options = server_options(log_level="error") | options
    # It listens from here on, so that nobody has to wait for the start.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Connections inherit it: without it the end of an answer may wait 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(uvicorn.Config(app, **options))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Listening(app, listener.getsockname()[1])
        finally:
            server.should_exit = True
            await serving
