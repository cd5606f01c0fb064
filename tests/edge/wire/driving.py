"""The server's own protocol over a transport in memory, so that thousands of streams take seconds."""

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from gallery_gateway.cli import _server_options
from gallery_gateway.settings import Settings
from tests.edge.wire.recording import Conduct, Record, RecordingApp
from tests.edge.wire.streams import Stream

# Turns of the loop without any change after which nothing more will come: more than an app lets pass.
_QUIET_TURNS = 10


def server_options(**settings: Any) -> dict[str, Any]:
    """What `gallery-gateway serve` gives to uvicorn."""
    return _server_options(Settings.read(_env_file=None, upstream_url="https://gallery.example", **settings))


@functools.cache
def _options_in_memory() -> dict[str, Any]:
    # Reading settings takes longer than a stream.
    return server_options()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one stream.

    Args:
        sent: all bytes of the server.
        records: the requests that it handled, in order.
        is_closed: whether the server ended the connection, before the client did.
        faults: exceptions that came out of the protocol.
    """

    sent: bytes
    records: tuple[Record, ...]
    is_closed: bool
    faults: tuple[str, ...] = ()


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, and behaves as a socket's transport where the protocol can tell."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_slow: bool) -> None:
        super().__init__()
        self.sent = bytearray()
        self.is_paused = False
        self._loop = loop
        self._is_slow = is_slow
        self._is_closing = False
        self._protocol: Any = None

    def connect(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8_000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        # As that of a socket: what comes after the end is dropped.
        if self._is_closing:
            return
        self.sent += data
        if self._is_slow:
            self._protocol.pause_writing()
            self._loop.call_soon(self._loop.call_soon, self._resume_writing)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def _resume_writing(self) -> None:
        if not self._is_closing:
            self._protocol.resume_writing()


class Driver:
    """A server without a socket, and the app behind it; connections follow one another.

    Args:
        remembers: whether whole requests may be answered again without the app.
        protocol: another one than the command line's.
    """

    def __init__(self, app: RecordingApp, *, remembers: bool = True, protocol: Any = None) -> None:
        self._app = app
        self._remembers = remembers
        self._state = app.state()
        options = _options_in_memory()
        self._config = uvicorn.Config(
            app, lifespan="off", **options | ({"http": protocol} if protocol else {})
        )
        self._config.load()
        self._server_state = ServerState()
        self._faults: list[str] = []

    async def drive(self, stream: Stream, rng: random.Random) -> Outcome:
        """Sends the pieces, lets the loop turn between them, and hangs up once nothing more happens."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_fault)
        self._faults.clear()
        self._app.records.clear()
        self._app.conduct = _conduct(rng, remembers=self._remembers)
        transport = MemoryTransport(loop, is_slow=rng.random() < 0.2)
        protocol_class: Any = self._config.http_protocol_class
        protocol = protocol_class(
            config=self._config, server_state=self._server_state, app_state=self._state, _loop=loop
        )
        transport.connect(protocol)
        for piece in stream.pieces:
            if transport.is_paused:
                await self._settle(transport, until=lambda: not transport.is_paused)
            if transport.is_closing() or transport.is_paused:
                break
            self._feed(protocol, piece)
            for _ in range(rng.choice((0, 0, 1, 1, 2, 6))):
                await asyncio.sleep(0)
        await self._settle(transport)
        outcome = Outcome(
            bytes(transport.sent), tuple(self._app.records), transport.is_closing(), tuple(self._faults)
        )
        transport.close()
        await self._settle(transport, until=lambda: not self._server_state.tasks)
        return outcome

    def _feed(self, protocol: Any, piece: bytes) -> None:
        try:
            protocol.data_received(piece)
        except Exception as exc:  # noqa: BLE001  # a socket's transport would end the connection with it
            self._faults.append(repr(exc))
            protocol.transport.close()

    async def _settle(self, transport: MemoryTransport, until: Callable[[], bool] = lambda: False) -> None:
        quiet, before = 0, (-1, -1)
        while quiet < _QUIET_TURNS and not until():
            await asyncio.sleep(0)
            now = len(transport.sent), len(self._app.records)
            quiet = quiet + 1 if now == before else 0
            before = now

    def _on_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._faults.append(f"{context['message']}: {context.get('exception')!r}")


def _conduct(rng: random.Random, *, remembers: bool) -> Conduct:
    return Conduct(
        reads_body=rng.random() < 0.85,
        turns=rng.choice((0, 0, 0, 1, 3)),
        parts=rng.choice((1, 1, 3)),
        remembers=remembers,
    )
