"""The event loop of the server: uvloop's, with servers that accept several connections in each turn.

libuv accepts one connection in each turn of its loop. On a busy gateway, a turn takes tens of milliseconds.
If a proxy opens 256 connections at once, the last one would wait for seconds.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# Workers listen on one socket: one that took all connections at once would leave none to the others.
_MAX_ACCEPTED = 15

ProtocolFactory = Callable[[], asyncio.BaseProtocol]

try:
    import uvloop
except ModuleNotFoundError:
    # uvloop does not exist for Windows and PyPy. asyncio's loop accepts all connections that wait.
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:

    class _Loop(uvloop.Loop):
        async def create_server(
            self, protocol_factory: ProtocolFactory, *arguments: Any, ssl: Any = None, **options: Any
        ) -> Any:
            listeners: list[Any] = []

            def accepted() -> asyncio.BaseProtocol:
                """Return the protocol of a connection that libuv has accepted, after accepting others."""
                for listener in listeners:
                    for connection in _waiting(listener):
                        self.create_task(_serve(self, connection, protocol_factory, ssl))
                return protocol_factory()

            server: Any = await super().create_server(accepted, *arguments, ssl=ssl, **options)
            listeners += server.sockets
            return server

    new_event_loop = _Loop


def _waiting(listener: Any) -> list[socket.socket]:
    """Return the connections that wait at a listening socket of uvloop, or some of them."""
    connections: list[socket.socket] = []
    # The socket belongs to uvloop, whose object for it has no `accept`.
    borrowed = socket.socket(listener.family, listener.type, listener.proto, listener.fileno())
    # None waits, or too many files are open. libuv deals with that when it accepts the next one itself.
    with suppress(OSError):
        while len(connections) < _MAX_ACCEPTED:
            connections.append(borrowed.accept()[0])
    borrowed.detach()
    return connections


async def _serve(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, protocol_factory: ProtocolFactory, ssl: Any
) -> None:
    connection.setblocking(False)  # noqa: FBT003  # socket's own
    try:
        await loop.connect_accepted_socket(protocol_factory, connection, ssl=ssl)
    except OSError:
        # The client has gone.
        connection.close()
