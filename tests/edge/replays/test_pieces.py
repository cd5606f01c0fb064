"""The bytes of a request decide where it ends, never the pieces in which they arrive."""

import pytest

from tests.edge.replays.echo_server import Client, Echo, Served, echoed

ONE, TWO = echoed(b"one"), echoed(b"two")
HEAD = ONE.removesuffix(b"one")

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


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_request_that_has_a_replay_may_come_in_two_pieces(
    app: Echo, server: Served, client: Client, cut: int
) -> None:
    await client.ask(ONE)

    await sent_in_pieces(server, client, ONE[:cut], ONE[cut:], TWO)

    assert await answered(client, 2) == [b"one", b"two"]
    assert app.asked == [b"one", *([b"one"] if cut >= len(HEAD) else []), b"two"]


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_request_in_pieces_is_remembered_as_one(app: Echo, server: Served, cut: int) -> None:
    """The app runs once more for a request whose body comes later than its head."""
    clients = [await server.connect(), await server.connect()]

    for client in clients:
        await sent_in_pieces(server, client, ONE[:cut], ONE[cut:], TWO)

    assert [await answered(client, 2) for client in clients] == [[b"one", b"two"]] * 2
    assert app.asked == [b"one", b"two", *([b"one"] if cut >= len(HEAD) else [])]


@pytest.mark.parametrize("piece", [ONE + ONE, ONE + TWO], ids=["the same twice", "two"])
async def test_requests_in_one_piece_get_a_response_each(app: Echo, server: Served, piece: bytes) -> None:
    await server.ask(ONE)
    clients = [await server.connect() for _ in range(3)]

    for client in clients:
        await sent_in_pieces(server, client, piece)

    assert [await answered(client, 2) for client in clients] == [[b"one", piece[-3:]]] * 3
    assert app.asked == list(dict.fromkeys([b"one", piece[-3:]]))


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_half_a_request_behind_another_is_completed_by_the_next_piece(
    app: Echo, server: Served, cut: int
) -> None:
    clients = [await server.connect() for _ in range(3)]

    for client in clients:
        await sent_in_pieces(server, client, ONE + TWO[:cut], TWO[cut:])

    assert [await answered(client, 2) for client in clients] == [[b"one", b"two"]] * 3
    assert app.asked == [b"one", b"two", *([b"two"] * 2 if cut >= len(HEAD) else [])]


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

    await sent_in_pieces(server, client, b"POST / HTTP/1.1\r\nx-a: ", ONE.replace(b"one", b"two"))

    assert await answered(client, 1) == [b"two"]
    assert app.asked == [b"one", b"two"]


@pytest.mark.parametrize(
    "beginning", [b"POST / HTTP/1.1\r\nx-a: ", echoed(ONE).removesuffix(ONE)], ids=["a value", "a body"]
)
async def test_the_end_of_a_request_is_not_a_request_after_one_in_the_same_piece(
    app: Echo, server: Served, client: Client, beginning: bytes
) -> None:
    await server.ask(ONE)

    await sent_in_pieces(server, client, TWO + beginning, ONE)

    is_body = beginning.endswith(b"\r\n\r\n")
    assert await answered(client, 2) == [b"two", ONE if is_body else b"one"]
    assert app.asked == [b"one", b"two", *([ONE] if is_body else [])]


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
