"""The server replays a request that has come before; the app responds to any other."""

import pytest

from tests.edge.replays.echo_server import Echo, Served, echoed

ONE, TWO = echoed(b"one"), echoed(b"two")
HEAD = ONE.removesuffix(b"one")

# What is remembered may have so many bytes.
MAX_BYTES = 8_192


async def test_the_same_request_runs_the_app_once(app: Echo, server: Served) -> None:
    client = await server.connect()

    answers = [await client.ask(ONE) for _ in range(5)]

    assert [body for _, body in answers] == [b"one"] * 5
    assert app.asked == [b"one"]


async def test_the_same_request_runs_the_app_once_over_two_connections(app: Echo, server: Served) -> None:
    await server.ask(ONE)

    _, body = await server.ask(ONE)

    assert body == b"one"
    assert app.asked == [b"one"]


CHANGED = {
    "the body": ONE.replace(b"one", b"onE"),
    "the token": ONE.replace(b"Bearer a", b"Bearer b"),
    "the target": ONE.replace(b"POST /", b"POST /?a"),
    "a header": echoed(b"one", b"accept: application/json"),
    "a header that comes twice": echoed(b"one", b"authorization: Bearer a"),
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED.keys())
async def test_a_request_that_differs_in_what_the_response_depends_on_is_another(
    app: Echo, server: Served, changed: bytes
) -> None:
    client = await server.connect()
    await client.ask(ONE)

    await client.ask(changed)
    await client.ask(ONE)

    assert len(app.asked) == 2


# What nginx, Envoy, clouds and browsers add to each request.
STAMPS = [
    b"x-request-id: %d",
    b"traceparent: 00-%032d-0000000000000001-01",
    b"x-forwarded-for: 203.0.113.%d",
    b"x-forwarded-for: 203.0.113.%d\r\nx-forwarded-for: 10.0.0.1",
    b"x-real-ip: 203.0.113.%d",
    b"forwarded: for=203.0.113.%d",
    b"via: 1.1 edge-%d",
    b"cookie: session=%d",
    b"user-agent: client/%d",
    b"x-amzn-trace-id: Root=1-%d",
    b"x-request-timeout: %d",
]


@pytest.mark.parametrize("stamp", STAMPS)
async def test_a_request_that_differs_in_another_header_is_the_same(
    app: Echo, server: Served, stamp: bytes
) -> None:
    client = await server.connect()

    for number in range(1, 4):
        await client.ask(echoed(b"one", stamp % number))

    assert app.asked == [b"one"]
    assert app.given_again == [b"one"] * 2


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
    # Beside the body, the key holds these, each with a line end.
    beside = b"POST", b"/", b"host", b"gateway", b"authorization", b"Bearer a", b"content-length", b"8000"
    request = echoed(b"one".ljust(size_bytes - sum(len(part) + 1 for part in beside) + 1))
    client = await server.connect()

    for _ in range(3):
        await client.ask(request)

    assert len(app.asked) == runs
