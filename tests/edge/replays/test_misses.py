"""On a connection whose requests never repeat, look-ups become rare."""

from itertools import count

from tests.edge.replays.echo_server import Client, Echo, Served, echoed

ONE = echoed(b"one")
MAX_MISSES = 64


_numbers = count(1)


async def miss(client: Client, times: int) -> None:
    """Ask for something new each time."""
    for _ in range(times):
        await client.ask(echoed(b"new %d" % next(_numbers)))


async def test_after_many_misses_in_a_row_a_request_is_not_looked_up(app: Echo, server: Served) -> None:
    await server.ask(ONE)
    client = await server.connect()

    await miss(client, MAX_MISSES + 1)
    _, body = await client.ask(ONE)

    assert body == b"one"
    assert app.given_again == []


async def test_up_to_that_number_each_request_is_looked_up(app: Echo, server: Served) -> None:
    await server.ask(ONE)
    client = await server.connect()

    await miss(client, MAX_MISSES - 1)
    await client.ask(ONE)

    assert app.given_again == [b"one"]


async def test_two_requests_in_as_many_are_looked_up_so_that_the_second_finds_the_first(
    app: Echo, server: Served
) -> None:
    client = await server.connect()
    await miss(client, 2 * MAX_MISSES - 1)

    for _ in range(2):
        await client.ask(ONE)

    assert app.given_again == [b"one"]


async def test_a_hit_ends_the_row_of_misses(app: Echo, server: Served) -> None:
    await server.ask(ONE)
    client = await server.connect()
    await miss(client, MAX_MISSES - 1)
    await client.ask(ONE)

    await miss(client, MAX_MISSES - 1)
    await client.ask(ONE)

    assert app.given_again == [b"one"] * 2
