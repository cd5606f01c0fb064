"""Connections with replays: how long they stay open, and what waits on them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.edge.replays.echo_server import Client, Echo, Served, echoed, served

ONE = echoed(b"one")

# Long before a busy machine, which must not stand still for so long; twice it is what a test takes.
KEEP_ALIVE_SECONDS = 0.5


@pytest.fixture
async def server(app: Echo) -> AsyncIterator[Served]:
    """One that does not keep idle connections for long."""
    async with served(app, keep_alive_seconds=KEEP_ALIVE_SECONDS) as server:
        yield server


def now() -> float:
    return asyncio.get_running_loop().time()


async def kept_asking(client: Client, *, seconds: float) -> None:
    """Asks again and again until more than this time has passed."""
    end = now() + seconds
    while now() <= end:
        await client.ask(ONE)


async def test_replays_keep_a_connection_open(app: Echo, server: Served) -> None:
    client = await server.connect()
    await client.ask(ONE)

    await kept_asking(client, seconds=2 * KEEP_ALIVE_SECONDS)

    assert app.asked == [b"one"]


async def test_a_connection_with_nothing_but_replays_stays_open(app: Echo, server: Served) -> None:
    await server.ask(ONE)
    client = await server.connect()

    await kept_asking(client, seconds=2 * KEEP_ALIVE_SECONDS)

    assert app.asked == [b"one"]


@pytest.mark.parametrize("begins_with_the_app", [True, False])
async def test_a_connection_is_closed_once_it_is_idle_for_the_keep_alive_time(
    app: Echo, server: Served, begins_with_the_app: bool
) -> None:
    client = await server.connect()
    await (client if begins_with_the_app else server).ask(ONE)
    await kept_asking(client, seconds=KEEP_ALIVE_SECONDS / 2)
    asked_at = now()
    await client.ask(ONE)

    assert await client.is_over()

    # The loop counts in thousandths.
    assert now() - asked_at > KEEP_ALIVE_SECONDS - 0.01
    assert app.asked == [b"one"]


async def test_a_replay_stops_the_timer_of_its_request(app: Echo) -> None:
    async with served(app, timeout_seconds=KEEP_ALIVE_SECONDS) as server:
        await server.ask(ONE)
        client = await server.connect()

        await kept_asking(client, seconds=2 * KEEP_ALIVE_SECONDS)

    assert app.asked == [b"one"]


async def test_half_a_request_after_a_replay_times_out(app: Echo) -> None:
    async with served(app, timeout_seconds=KEEP_ALIVE_SECONDS) as server:
        await server.ask(ONE)
        client = await server.connect()
        await client.ask(ONE)

        head, _ = await client.ask(ONE[:20])

        assert head.startswith("http/1.1 408 ")


async def test_an_empty_line_after_a_replay_times_out(app: Echo) -> None:
    async with served(app, timeout_seconds=KEEP_ALIVE_SECONDS) as server:
        client = await server.connect()
        for _ in range(2):
            await client.ask(ONE)

        head, _ = await client.ask(b"\r\n")

        assert head.startswith("http/1.1 408 ")


async def test_a_client_that_does_not_read_gets_a_limited_number_of_replays() -> None:
    app = Echo(times=100_000)
    # Small buffers, or the system would take several megabytes off the server's hands.
    async with served(app, send_buffer_bytes=65_536) as server:
        await server.ask(ONE)
        client = await server.connect(receive_buffer_bytes=65_536)

        for _ in range(50):
            await client.send(ONE)
            await server.has_read()

        assert len(app.given_again) < 10


async def test_a_request_during_a_response_is_not_remembered_as_the_one_before() -> None:
    # More than all buffers between here and there hold.
    app = Echo(times=1_000_000)
    async with served(app, send_buffer_bytes=65_536) as server:
        client = await server.connect(receive_buffer_bytes=65_536)
        for request in (ONE, echoed(b"two")):
            await client.send(request)
            await server.has_read()
        await app.is_asked(2)

        _, body = await server.ask(ONE)

        assert body == b"one" * 1_000_000


async def test_a_client_that_reads_late_gets_a_response_to_each_request() -> None:
    app = Echo(times=100_000)
    async with served(app, send_buffer_bytes=65_536) as server:
        await server.ask(ONE)
        client = await server.connect(receive_buffer_bytes=65_536)
        for _ in range(50):
            await client.send(ONE)
            await server.has_read()

        bodies = [(await client.response())[1] for _ in range(50)]

        assert set(bodies) == {b"one" * 100_000}
