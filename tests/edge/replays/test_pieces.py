"""The bytes of a request decide where it ends, never the pieces in which they arrive."""

import pytest

from tests.edge.replays.echo_server import Client, Echo, Served, echoed

ONE, TWO = echoed(b"one"), echoed(b"two")
HEAD = ONE.removesuffix(b"one")
OTHER = b"POST /other HTTP/1.1\r\n"

CUTS = {
    "in the first line": 1,
    "between two headers": HEAD.index(b"host:"),
    "in a header": HEAD.index(b"gateway"),
    "before the end of the head": len(HEAD) - 2,
    "between head and body": len(HEAD),
    "before the last byte": len(ONE) - 1,
}


@pytest.fixture
async def client(server: Served) -> Client:
    return await server.connect()


async def sent_in_pieces(server: Served, client: Client, *pieces: bytes) -> None:
    """Sends each once the server has read the one before."""
    for piece in pieces:
        await client.send(piece)
        await server.has_read()


async def answered(client: Client, count: int) -> list[bytes]:
    """The bodies of so many answers, in the order in which they come; then hangs up."""
    bodies = [(await client.response())[1] for _ in range(count)]
    await client.hang_up()
    return bodies


def runs_by(cut: int, body: bytes) -> list[bytes]:
    """What the app is asked for a request that has a replay: its body, if that comes after its head."""
    return [body] if cut >= len(HEAD) else []


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_request_that_has_a_replay_may_come_in_two_pieces(
    app: Echo, server: Served, client: Client, cut: int
) -> None:
    await client.ask(ONE)

    await sent_in_pieces(server, client, ONE[:cut], ONE[cut:], TWO)

    assert await answered(client, 2) == [b"one", b"two"]
    assert app.asked == [b"one", *runs_by(cut, b"one"), b"two"]


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_request_is_remembered_whole_whatever_its_pieces(app: Echo, server: Served, cut: int) -> None:
    clients = [await server.connect(), await server.connect()]

    for client in clients:
        await sent_in_pieces(server, client, ONE[:cut], ONE[cut:], TWO)

    assert [await answered(client, 2) for client in clients] == [[b"one", b"two"]] * 2
    assert app.asked == [b"one", b"two", *runs_by(cut, b"one")]


@pytest.mark.parametrize("piece", [ONE + ONE, ONE + TWO], ids=["the same twice", "two"])
async def test_requests_in_one_piece_get_a_response_each(app: Echo, server: Served, piece: bytes) -> None:
    await server.ask(ONE)
    clients = [await server.connect() for _ in range(3)]

    for client in clients:
        await sent_in_pieces(server, client, piece)

    bodies = [b"one", piece[-3:]]
    assert [await answered(client, 2) for client in clients] == [bodies] * 3
    assert app.asked == list(dict.fromkeys([b"one", *bodies]))


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_request_with_half_of_another_behind_it_is_remembered_without_that(
    app: Echo, server: Served, cut: int
) -> None:
    clients = [await server.connect() for _ in range(3)]

    for client in clients:
        await sent_in_pieces(server, client, ONE + TWO[:cut], TWO[cut:])

    assert [await answered(client, 2) for client in clients] == [[b"one", b"two"]] * 3
    assert app.asked == [b"one", b"two", *runs_by(cut, b"two") * 2]


async def test_a_body_that_looks_like_an_earlier_request_is_a_body(
    app: Echo, server: Served, client: Client
) -> None:
    await server.ask(ONE)

    await sent_in_pieces(server, client, echoed(ONE).removesuffix(ONE), ONE)

    assert await answered(client, 1) == [ONE]
    assert app.asked == [b"one", ONE]


async def test_a_value_that_looks_like_an_earlier_request_is_a_value(
    app: Echo, server: Served, client: Client
) -> None:
    await server.ask(ONE)

    await sent_in_pieces(server, client, OTHER + b"x-a: ", ONE)

    assert await answered(client, 1) == [b"one"]
    assert app.asked == [b"one"] * 2


@pytest.mark.parametrize(
    "beginning", [OTHER + b"x-a: ", echoed(ONE).removesuffix(ONE)], ids=["a value", "a body"]
)
async def test_the_end_of_a_request_is_not_a_request_after_one_in_the_same_piece(
    app: Echo, server: Served, client: Client, beginning: bytes
) -> None:
    await server.ask(ONE)

    await sent_in_pieces(server, client, TWO + beginning, ONE)

    body = ONE if beginning.endswith(b"\r\n\r\n") else b"one"
    assert await answered(client, 2) == [b"two", body]
    assert app.asked == [b"one", b"two", body]


async def test_a_response_under_way_comes_before_a_replay(app: Echo, server: Served, client: Client) -> None:
    await server.ask(ONE)
    app.may_answer.clear()
    await client.send(TWO)
    await app.is_asked(2)

    await sent_in_pieces(server, client, ONE)
    app.may_answer.set()

    assert await answered(client, 2) == [b"two", b"one"]


async def test_a_request_with_another_behind_it_gets_one_response(
    app: Echo, server: Served, client: Client
) -> None:
    app.may_answer.clear()
    await client.send(ONE)
    await app.is_asked(1)
    await sent_in_pieces(server, client, ONE)
    app.may_answer.set()
    bodies = await answered(client, 2)

    _, body = await server.ask(ONE)

    assert [*bodies, body] == [b"one"] * 3


@pytest.mark.parametrize("target", [b"http://", b"http://a:99999/", b"a"])
async def test_a_target_that_is_none_is_rejected_before_its_body_comes(
    app: Echo, client: Client, target: bytes
) -> None:
    request = echoed(b"one", line=b"POST %b HTTP/1.1" % target)

    head, _ = await client.ask(request.removesuffix(b"one"))

    assert head.startswith("http/1.1 400 ")
    assert app.asked == []
