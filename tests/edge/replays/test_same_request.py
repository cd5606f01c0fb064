"""The server replays a request that is equal in what a response depends on; the app responds to any other."""

import pytest

from gallery_gateway.edge.request import KEYED_HEADERS
from tests.edge.replays.echo_server import Echo, Served, echoed

ONE, TWO = echoed(b"one"), echoed(b"two")

# What is remembered may have so many bytes, of which a body may have nearly all.
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


PROXIES = [
    b"x-request-id: 7f3a",
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"tracestate: a=b",
    b"x-forwarded-for: 203.0.113.7, 198.51.100.2",
    b"x-forwarded-proto: https",
    b"x-forwarded-host: gallery.example",
    b"forwarded: for=203.0.113.7;proto=https",
    b"x-real-ip: 203.0.113.7",
    b"via: 1.1 edge",
    b"cookie: session=1",
    b"x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678",
    b"cf-ray: 230b030023ae2822-SJC",
    b"x-envoy-expected-rq-timeout-ms: 15000",
    b"user-agent: curl/8",
    b"x-nobody-knows: this",
]


@pytest.mark.parametrize("header", PROXIES)
async def test_what_a_proxy_adds_does_not_run_the_app_again(app: Echo, server: Served, header: bytes) -> None:
    client = await server.connect()
    await client.ask(ONE)

    bodies = [(await client.ask(echoed(b"one", *added)))[1] for added in ([header], [header, header])]

    assert bodies == [b"one"] * 2
    assert app.asked == [b"one"]


async def test_names_in_other_case_and_order_do_not_run_the_app_again(app: Echo, server: Served) -> None:
    client = await server.connect()
    await client.ask(echoed(b"one", b"accept: */*", b"origin: https://a"))

    _, body = await client.ask(echoed(b"one", b"Origin: https://a", b"ACCEPT: */*").replace(b"host", b"Host"))

    assert body == b"one"
    assert app.asked == [b"one"]


OTHERS = {
    "body": ONE.replace(b"one", b"onE"),
    "path": ONE.replace(b"POST / ", b"POST /a "),
    "query string": ONE.replace(b"POST / ", b"POST /?a "),
    **{
        name.decode(): echoed(b"one", name + b": another")
        for name in KEYED_HEADERS
        if name not in {b"authorization", b"host"}
    },
    "empty header": echoed(b"one", b"accept:"),
    "authorization": echoed(b"one", token=b"another"),
    "host": ONE.replace(b"host: gateway", b"host: another"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_a_request_that_differs_in_what_a_response_depends_on_runs_the_app(
    app: Echo, server: Served, other: bytes
) -> None:
    client = await server.connect()
    await client.ask(ONE)

    await client.ask(other)

    assert [body.lower() for body in app.asked] == [b"one"] * 2


@pytest.mark.parametrize("name", [b"authorization", b"content-type", b"host", b"origin"])
async def test_a_request_that_repeats_a_header_which_must_not_be_has_no_replay(
    app: Echo, server: Served, name: bytes
) -> None:
    client = await server.connect()
    request = echoed(b"one", name + b": a", name + b": a")

    for _ in range(2):
        await client.ask(request)

    assert app.asked == [b"one"] * 2


async def test_a_request_without_a_token_has_no_replay(app: Echo, server: Served) -> None:
    client = await server.connect()
    request = ONE.replace(b"authorization: Bearer made-up\r\n", b"")

    for _ in range(2):
        await client.ask(request)

    assert app.asked == [b"one"] * 2


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


@pytest.mark.parametrize(("size_bytes", "runs"), [(MAX_BYTES - 100, 1), (MAX_BYTES, 3)])
async def test_a_request_has_a_replay_up_to_a_maximum_size(
    app: Echo, server: Served, size_bytes: int, runs: int
) -> None:
    client = await server.connect()

    for _ in range(3):
        await client.ask(echoed(b"a" * size_bytes))

    assert len(app.asked) == runs
