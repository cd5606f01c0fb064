"""A replay of the server equals the response of the gateway's app."""

import json
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.edge.replays.echo_server import Client
from tests.edge.replays.gateway_server import (
    BY_POST,
    RUNS,
    TTL_SECONDS,
    Gateway,
    Time,
    by_get,
    gateway,
    header,
    with_header,
)
from tests.fakes import OTHER_TOKEN, TOKEN, FakeUpstream, page_body, project_body
from tests.process.serving import operation


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def server(upstream: FakeUpstream, time: Time) -> AsyncIterator[Gateway]:
    async with gateway(upstream, time=time, cors_origins="https://shop.example") as server:
        yield server


@pytest.fixture
async def client(server: Gateway) -> Client:
    return await server.connect()


def names_of(head: str) -> list[str]:
    """The status line and the names of all headers."""
    status, *lines = head.splitlines()
    return [status, *sorted(line.partition(":")[0] for line in lines)]


# One is the beginning of another.
WALKERS = {TOKEN: "ada", OTHER_TOKEN: "ben", f"{TOKEN}s": "cleo"}
WALK_STEPS = 400

REQUESTS = {
    "POST": BY_POST,
    "GET": by_get(),
    "another media type": with_header(BY_POST, b"accept: application/graphql-response+json"),
    "another origin": with_header(BY_POST, b"origin: https://shop.example"),
    "an id of its own": with_header(BY_POST, b"x-request-id: mine-1"),
}


@pytest.mark.parametrize("request_text", REQUESTS.values(), ids=REQUESTS.keys())
async def test_the_app_does_not_run_again_after_a_cached_response(
    server: Gateway, client: Client, request_text: bytes
) -> None:
    for _ in range(8):
        await client.ask(request_text)

    assert server.runs == RUNS


@pytest.mark.parametrize("request_text", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_replay_has_the_status_and_the_headers_of_the_app(
    client: Client, request_text: bytes
) -> None:
    heads = [(await client.ask(request_text))[0] for _ in range(RUNS + 2)]

    assert "etag" in heads[0] or request_text.startswith(b"POST")
    assert [names_of(head) for head in heads] == [names_of(heads[0])] * len(heads)


@pytest.mark.parametrize("request_text", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_replay_has_the_body_of_the_app(client: Client, request_text: bytes) -> None:
    bodies = [(await client.ask(request_text))[1] for _ in range(RUNS + 2)]

    assert set(bodies) == {b'{"data":{"gallery":{"projects":[{"projectName":"Project 7"}]}}}'}


@pytest.mark.parametrize(
    "name",
    ["content-type", "vary", "cache-control", "age", "content-length", "access-control-allow-origin", "etag"],
)
async def test_a_header_of_a_replay_has_the_value_of_the_app(client: Client, name: str) -> None:
    request = by_get("origin: https://shop.example", "accept: application/graphql-response+json")

    heads = [(await client.ask(request))[0] for _ in range(RUNS + 2)]

    assert len({header(head, name) for head in heads}) == 1


async def test_each_replay_has_its_own_request_id(client: Client) -> None:
    heads = [(await client.ask(BY_POST))[0] for _ in range(RUNS + 2)]

    assert len({header(head, "x-request-id") for head in heads}) == len(heads)


async def test_each_replay_has_the_request_id_of_the_client(client: Client) -> None:
    request = with_header(BY_POST, b"x-request-id: mine-1")

    heads = [(await client.ask(request))[0] for _ in range(RUNS + 2)]

    assert [header(head, "x-request-id") for head in heads] == ["mine-1"] * len(heads)


async def test_a_replay_has_its_current_age(server: Gateway, client: Client, time: Time) -> None:
    for _ in range(RUNS):
        await client.ask(BY_POST)

    heads = []
    for time.passed in (3.0, 12.0):
        head, _ = await client.ask(BY_POST)
        heads.append(head)

    assert [header(head, "age") for head in heads] == ["3", "12"]
    assert {header(head, "cache-control") for head in heads} == {f"private, max-age={TTL_SECONDS}"}
    assert server.runs == RUNS


async def test_the_server_replays_nothing_past_its_freshness(
    upstream: FakeUpstream, client: Client, time: Time
) -> None:
    for _ in range(RUNS + 2):
        await client.ask(BY_POST)
    upstream.answer(json=page_body(project_body(7, project_name="new")))

    time.passed = TTL_SECONDS
    _, body = await client.ask(BY_POST)

    assert json.loads(body)["data"]["gallery"]["projects"] == [{"projectName": "new"}]


async def test_the_server_replays_nothing_after_its_caller_was_refused(
    upstream: FakeUpstream, client: Client
) -> None:
    for _ in range(RUNS + 2):
        await client.ask(BY_POST)
    upstream.answer(401)
    await client.ask(operation("{ gallery(page: 2) { projects { id } } }"))

    _, body = await client.ask(BY_POST)

    assert json.loads(body)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_request_that_bypasses_the_cache_costs_an_upstream_call_each_second(
    upstream: FakeUpstream, client: Client, time: Time
) -> None:
    for _ in range(RUNS + 2):
        await client.ask(with_header(BY_POST, b"cache-control: no-cache"))
        time.passed += 1.1

    assert len(upstream.requests) == RUNS + 2


async def test_a_client_that_has_the_response_gets_a_304_each_time(client: Client) -> None:
    head, _ = await client.ask(by_get())
    conditional = by_get(f"if-none-match: {header(head, 'etag')}")

    answers = [await client.ask(conditional) for _ in range(RUNS + 2)]

    assert [(head.split()[1], body) for head, body in answers] == [("304", b"")] * len(answers)


async def test_a_client_with_another_etag_gets_the_complete_response_each_time(client: Client) -> None:
    conditional = by_get('if-none-match: "another"')

    answers = [await client.ask(conditional) for _ in range(RUNS + 2)]

    assert [head.split()[1] for head, _ in answers] == ["200"] * len(answers)
    assert len({body for _, body in answers}) == 1


class Stamping:
    """An upstream that names a project after the caller and the time, and refuses one caller if told to."""

    def __init__(self, upstream: FakeUpstream, time: Time) -> None:
        self.refuses: str | None = None
        self._time = time
        upstream.handler = self.answer

    def answer(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token == self.refuses:
            return httpx.Response(401)
        return httpx.Response(
            200, json=page_body(project_body(7, project_name=f"{WALKERS[token]} {self._time.passed}"))
        )


@pytest.mark.parametrize("seed", range(3))
async def test_no_walk_shows_a_caller_the_data_of_another_or_data_that_has_ended(
    upstream: FakeUpstream, time: Time, server: Gateway, seed: int
) -> None:
    chance = random.Random(seed)
    stamping = Stamping(upstream, time)
    clients = [await server.connect() for _ in range(3)]
    purged_at = dict.fromkeys(WALKERS, 0.0)

    for _ in range(WALK_STEPS):
        token = chance.choice(list(WALKERS))
        request = chance.choice(list(REQUESTS.values())).replace(TOKEN.encode(), token.encode())
        if chance.random() < 0.03:
            stamping.refuses = token
            await chance.choice(clients).ask(with_header(request, b"cache-control: no-cache"))
            stamping.refuses = None
            # Later than all that was made before.
            time.passed += 1
            purged_at[token] = time.passed
        _, body = await chance.choice(clients).ask(request)

        (project,) = json.loads(body)["data"]["gallery"]["projects"]
        name, made_at = project["projectName"].split()
        assert name == WALKERS[token]
        assert purged_at[token] <= float(made_at) > time.passed - TTL_SECONDS
        time.passed += chance.choice([0, 0, 0, 0, 0, 0, 5])

    # A walk that the server answers nothing of by itself shows nothing.
    assert server.runs < WALK_STEPS * 0.9
