"""Callers that share connections get their own responses, however requests are cut and joined."""

import random

import pytest
from starlette.types import Scope

from tests.edge.replays.echo_server import Client, Echo, Served, echoed

CALLERS = [b"ada", b"ben", b"cleo"]
STEPS = 120


class Whose(Echo):
    """Answers with the caller and the body of the request."""

    def answer(self, scope: Scope, body: bytes) -> bytes:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        return headers[b"authorization"].removeprefix(b"Bearer ") + b": " + body


def asked_by(caller: bytes, body: bytes) -> bytes:
    # The token stands in the middle, so that heads begin and end alike.
    return echoed(body, b"accept: */*", token=caller)


# Some look like the end of another's request, and some like the whole of it.
BODIES = [b"", b"one", b"two", asked_by(b"ada", b"one"), asked_by(b"ben", b"one")[40:]]


@pytest.fixture
def app() -> Whose:
    return Whose()


def cut(chance: random.Random, stream: bytes) -> list[bytes]:
    places = sorted(chance.sample(range(1, len(stream)), chance.choice([0, 0, 1, 2])))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@pytest.mark.parametrize("seed", range(3))
async def test_no_interleaving_gives_a_caller_the_response_of_another(
    app: Whose, server: Served, seed: int
) -> None:
    chance = random.Random(seed)
    clients: list[Client] = [await server.connect() for _ in range(3)]

    for _ in range(STEPS):
        client = chance.choice(clients)
        wanted = [
            (chance.choice(CALLERS), chance.choice(BODIES)) for _ in range(chance.choice([1, 1, 1, 2, 3]))
        ]
        stream = b"".join(asked_by(caller, body) for caller, body in wanted)
        for piece in cut(chance, stream):
            await client.send(piece)
            if chance.random() < 0.5:
                await server.has_read()

        answers = [(await client.response())[1] for _ in wanted]

        assert answers == [caller + b": " + body for caller, body in wanted]

    # A walk that the server answers nothing of by itself shows nothing.
    assert len(app.given_again) > STEPS / 10
