"""Clients that share the connections of a real nginx with attackers get their own responses."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gallery_gateway.demo.server import create_upstream, serve_in_thread
from tests.canary import counted
from tests.edge.wire.judging import Disagreement, is_seen, read_answers
from tests.edge.wire.proxied import (
    Attack,
    Company,
    WatchedApp,
    attack,
    attacks,
    passed,
    smuggling,
    with_websockets,
)
from tests.edge.wire.recording import seen
from tests.edge.wire.serving import Listening, connected, exchange, served
from tests.process.serving import serve
from tests.scaling.fleet import free_ports
from tests.scaling.proxy import PROGRAM, nginx

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")

BUFFERINGS = ["on", "off"]
NAMES = ["ada", "ben", "cleo"]
TOTAL = b'{"query": "{ gallery { pagination { total } } }"}'


@pytest.fixture
def app() -> WatchedApp:
    return WatchedApp()


@pytest.fixture
def honest_requests(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--wire-cases")) // 30


@asynccontextmanager
async def behind(folder: Path, gateway_port: int, *, buffering: str) -> AsyncIterator[int]:
    """The port of nginx."""
    (port,) = free_ports(1)
    async with nginx(folder, port, [gateway_port], configured=with_websockets(buffering=buffering)):
        yield port


def marked(number: int) -> bytes:
    """The body that only one honest client sends."""
    return b"honest %d" % number


def honest(port: int) -> Callable[[int], Awaitable[str | None]]:
    async def ask(number: int) -> str | None:
        body = marked(number)
        head = b"POST /honest HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        received = await exchange(port, head % len(body) + body)
        counted["honest requests through nginx"] += 1
        try:
            answers = read_answers(received, [b"POST"], [])
        except Disagreement as exc:
            return str(exc)
        if len(answers) == 1 and is_seen(answers[0], b"POST", b"/honest", body):
            return None
        return f"{number}: {received!r}"

    return ask


def attacking(port: int, app: WatchedApp) -> Callable[[], Awaitable[bytes]]:
    streams = attacks(14)

    async def go() -> bytes:
        counted["attacks through nginx"] += 1
        return await attack(port, next(streams), app)

    return go


@pytest.mark.parametrize("buffering", BUFFERINGS)
async def test_no_client_gets_the_response_to_another(
    app: WatchedApp, server: Listening, tmp_path: Path, honest_requests: int, buffering: str
) -> None:
    async with behind(tmp_path, server.port, buffering=buffering) as port:
        company = Company(honest(port), attacking(port, app))
        await company.meet(honest_requests)

    assert company.wrong == []
    given = b"".join(company.attacked)
    honest_answers = [seen(b"POST", b"/honest", b"", marked(number)) for number in range(honest_requests)]
    assert [answer for answer in honest_answers if answer in given] == []
    assert not any(record.path == b"/inner" for record in app.records)


@pytest.mark.parametrize("buffering", BUFFERINGS)
async def test_the_attacks_mix_up_the_answers_of_the_bare_server(
    app: WatchedApp, tmp_path: Path, buffering: str
) -> None:
    async with (
        served(app, http=HttpToolsProtocol) as server,
        behind(tmp_path, server.port, buffering=buffering) as port,
    ):
        company = Company(honest(port), attacking(port, app))
        await company.meet(100)

    assert any(record.path == b"/inner" for record in app.records)
    assert company.wrong != []


@pytest.mark.parametrize("buffering", BUFFERINGS)
async def test_callers_of_the_gateway_get_their_own_projects(
    tmp_path: Path, honest_requests: int, buffering: str
) -> None:
    # Slow enough for the body of an attack to come before the answer to its head.
    with serve_in_thread(create_upstream(delay_seconds=0.05)) as upstream_url:
        async with (
            serve(upstream_url) as gateway,
            behind(tmp_path, gateway.port, buffering=buffering) as port,
        ):
            own = {name: total(await exchange(gateway.port, asked(name))) for name in NAMES}
            assert len(set(own.values())) == len(NAMES)

            async def ask(number: int) -> str | None:
                name = NAMES[number % 2]
                received = await exchange(port, asked(name))
                counted["honest requests through nginx"] += 1
                return None if total(received) == own[name] else f"{name}: {received!r}"

            async def go() -> bytes:
                counted["attacks through nginx"] += 1
                stream = next(streams)
                async with connected(port) as wire:
                    await wire.send(stream.first)
                    await passed(port)
                    await wire.send(stream.rest)
                    return await wire.ended()

            streams = smuggled_questions()
            company = Company(ask, go)
            await company.meet(honest_requests)

    assert company.wrong == []
    # Those that the attackers asked themselves, as the first of the three.
    assert {total(received) for received in company.attacked} == {own["ada"]}


def asked(name: str) -> bytes:
    head = (
        b"POST /graphql HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer demo-%b-token\r\ncontent-length: %d\r\n\r\n"
    )
    return head % (name.encode(), len(TOTAL)) + TOTAL


def smuggled_questions() -> Iterator[Attack]:
    """Asked by one caller, with a question of another for the body; none is known before."""
    rng = random.Random(14)
    target = b"/graphql?query=%%7Bgallery(page:%d)%%7Bpagination%%7Btotal%%7D%%7D%%7D"
    preflighted = b"apollo-require-preflight: 1"
    for page in itertools.count(1):
        inner = b"GET %b HTTP/1.1\r\nhost: gateway\r\n%b\r\nauthorization: Bearer demo-cleo-token\r\n"
        inner = inner % (target % page, preflighted) + b"content-length: 5\r\n\r\n"
        # As large as to leave the proxy in pieces, half of the times.
        inner = b"\r\n" * rng.choice((0, 0, 9_000, 12_000)) + inner
        as_ada = b"authorization: Bearer demo-ada-token"
        yield smuggling(rng, b"GET", target % page, inner, preflighted, as_ada)


def total(received: bytes) -> int | None:
    """What an answer says; None if it says something else."""
    body = received.partition(b"\r\n\r\n")[2]
    try:
        return int(json.loads(body)["data"]["gallery"]["pagination"]["total"])
    except (ValueError, KeyError, TypeError):
        return None
