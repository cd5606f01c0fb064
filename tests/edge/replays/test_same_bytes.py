"""The server replays a request that is equal byte for byte; the app responds to any other."""

import pytest

from tests.edge.replays.echo_server import Echo, Served, echoed

ONE, TWO = echoed(b"one"), echoed(b"two")
HEAD = ONE.removesuffix(b"one")

# What is remembered may have so many bytes.
MAX_BYTES = 8_192


async def test_the_same_bytes_run_the_app_once(app: Echo, server: Served) -> None:
    client = await server.connect()

    answers = [await client.ask(ONE) for _ in range(5)]

    assert [body for _, body in answers] == [b"one"] * 5
    assert app.asked == [b"one"]


async def test_the_same_bytes_run_the_app_once_over_two_connections(app: Echo, server: Served) -> None:
    await server.ask(ONE)

    _, body = await server.ask(ONE)

    assert body == b"one"
    assert app.asked == [b"one"]


async def test_bytes_that_differ_in_one_place_are_another_request(app: Echo, server: Served) -> None:
    client = await server.connect()
    await client.ask(ONE)

    for request in (ONE.replace(b"one", b"onE"), ONE.replace(b"host:", b"Host:"), ONE):
        await client.ask(request)

    assert app.asked == [b"one", b"onE", b"one"]


async def test_a_replay_counts_as_a_request(server: Served) -> None:
    client = await server.connect()

    for _ in range(5):
        await client.ask(ONE)

    assert server.total_requests == 5


async def test_the_app_responds_once_a_replay_has_ended(app: Echo, server: Served) -> None:
    client = await server.connect()
    for _ in range(2):
        await client.ask(ONE)

    app.is_fresh = False
    for _ in range(2):
        await client.ask(ONE)

    assert app.asked == [b"one"] * 3
    assert app.given_again == [b"one"]


async def test_a_new_response_is_replayed_after_one_that_was_too_old(app: Echo, server: Served) -> None:
    client = await server.connect()
    await client.ask(ONE)
    app.is_fresh = False
    await client.ask(ONE)

    app.is_fresh = True
    await client.ask(ONE)

    assert app.asked == [b"one"] * 2
    assert app.given_again == [b"one"]


async def test_the_age_of_a_replay_is_the_current_one(app: Echo, server: Served) -> None:
    client = await server.connect()
    await client.ask(ONE)

    heads = []
    for app.age_seconds in (1.0, 12.9):
        head, _ = await client.ask(ONE)
        heads.append(head)

    assert ["\r\nage: 1\r\n" in heads[0], "\r\nage: 12\r\n" in heads[1]] == [True, True]


async def test_a_process_that_leaves_lets_the_app_respond(app: Echo, server: Served) -> None:
    client = await server.connect()
    await client.ask(ONE)

    app.readiness.leave()
    await client.ask(ONE)

    assert app.asked == [b"one"] * 2


@pytest.mark.parametrize(
    "request_text",
    [
        echoed(b"one", b"connection: close"),
        echoed(b"one", line=b"POST / HTTP/1.0"),
        echoed(b"one", b"connection: keep-alive", line=b"POST / HTTP/1.0"),
    ],
    ids=["it is asked to", "HTTP/1.0", "HTTP/1.0 that asks for the contrary"],
)
async def test_a_connection_that_closes_with_its_response_does_so_each_time(
    app: Echo, server: Served, request_text: bytes
) -> None:
    for _ in range(3):
        client = await server.connect()
        _, body = await client.ask(request_text)

        assert body == b"one"
        assert await client.is_over()
    assert app.asked == [b"one"] * 3


@pytest.mark.parametrize(
    ("size_bytes", "runs"), [(MAX_BYTES, 1), (MAX_BYTES + 1, 3)], ids=["the largest", "too large"]
)
async def test_a_request_has_a_replay_up_to_a_maximum_size(
    app: Echo, server: Served, size_bytes: int, runs: int
) -> None:
    request = echoed(b"one", size_bytes=size_bytes)
    client = await server.connect()

    for _ in range(3):
        await client.ask(request)

    assert len(request) == size_bytes
    assert len(app.asked) == runs
