"""The server's loop accepts connections that come at once within a few turns."""

import asyncio
import socket
from contextlib import ExitStack
from typing import cast

import pytest

from gallery_gateway.edge.event_loop import new_event_loop

COUNT = 64
# libuv's own and 15 more.
MAX_IN_A_TURN = 16


class Accepted(asyncio.Protocol):
    """Answers each connection by its number."""

    def __init__(self, transports: list[asyncio.Transport]) -> None:
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's class has the methods of asyncio's, but is not a subclass.
        transport = cast("asyncio.Transport", transport)
        self._transports.append(transport)
        transport.write(b"%d" % len(self._transports))


async def turns_until_accepted(
    transports: list[asyncio.Transport], stack: ExitStack
) -> tuple[int, list[socket.socket]]:
    """Connects all clients before the loop turns; how often it turns until it has accepted them."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Accepted(transports), "127.0.0.1", 0, backlog=COUNT)
    stack.callback(server.close)
    address = server.sockets[0].getsockname()
    clients = [stack.enter_context(socket.create_connection(address)) for _ in range(COUNT)]
    turns = 0
    while len(transports) < COUNT:
        await asyncio.sleep(0)
        turns += 1
    return turns, clients


@pytest.fixture
def transports() -> list[asyncio.Transport]:
    return []


def test_connections_that_come_at_once_are_accepted_in_few_turns(
    transports: list[asyncio.Transport],
) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner, ExitStack() as stack:
        turns, _ = runner.run(turns_until_accepted(transports, stack))

    # Each is there a few turns after it was accepted. In one turn, a worker leaves connections to the others.
    assert COUNT / MAX_IN_A_TURN <= turns <= COUNT / MAX_IN_A_TURN + 8


def test_each_connection_is_served_without_delay(transports: list[asyncio.Transport]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner, ExitStack() as stack:
        _, clients = runner.run(turns_until_accepted(transports, stack))
        options = [
            transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for transport in transports
        ]
        runner.run(asyncio.sleep(0.01))
        numbers = {client.recv(10) for client in clients}

    assert numbers == {b"%d" % number for number in range(1, COUNT + 1)}
    assert all(options)


def test_a_closed_server_accepts_nothing(transports: list[asyncio.Transport]) -> None:
    async def address_of_a_closed_server() -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Accepted(transports), "127.0.0.1", 0)
        address: tuple[str, int] = server.sockets[0].getsockname()
        with socket.create_connection(address):
            while not transports:  # noqa: ASYNC110  # turns of the loop, not time
                await asyncio.sleep(0)
        server.close()
        await server.wait_closed()
        return address

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        address = runner.run(address_of_a_closed_server())

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
