"""No caller sees data of another caller, and no token leaks."""

import asyncio
import logging
import random
from typing import Any

import httpx
import pytest

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream
from tests.edge.subscriptions.subscribing import Gateway, Subscriber, in_virtual_time, opened
from tests.fakes import OTHER_TOKEN, TOKEN, FakeUpstream, dumped, gateway, page_body, project_body


async def test_thousands_of_interleaved_operations_show_each_caller_its_own() -> None:
    """Ben's and Ada's endpoint names the owner in every project, and answers in an order of its own."""
    shuffled = random.Random(7)

    async def answer(request: httpx.Request) -> httpx.Response:
        for _ in range(shuffled.randrange(5)):
            await asyncio.sleep(0)
        # The end of the token: all of it may come out nowhere.
        owner = request.headers["authorization"][-3:]
        return httpx.Response(200, json=page_body(project_body(7, created_by=owner)))

    upstream = FakeUpstream()
    upstream.handler = answer
    documents = [f"{{ gallery(page: {page}) {{ projects {{ createdBy }} }} }}" for page in range(1, 9)]

    async with gateway(upstream, cache_ttl_seconds=0.05) as client:

        async def one(_number: int) -> tuple[str, Any]:
            token = shuffled.choice([TOKEN, OTHER_TOKEN])
            return token, await client.ask(shuffled.choice(documents), token=token)

        answers = [
            answered
            for _ in range(30)
            for answered in await asyncio.gather(*(one(number) for number in range(100)))
        ]

    seen = {(token, a["data"]["gallery"]["projects"][0]["createdBy"]) for token, a in answers}
    assert seen == {(TOKEN, "ada"), (OTHER_TOKEN, "ben")}
    assert len(answers) == 3000
    assert len(upstream.requests) < 1500


async def test_each_demo_caller_sees_what_the_endpoint_lists_for_it() -> None:
    endpoint = httpx.ASGITransport(create_upstream())
    document = "{ gallery { pagination { total } } }"

    async with gateway(endpoint) as client:
        answers = [await client.ask(document, token=caller.token) for caller in CALLERS * 2]

    totals = [answer["data"]["gallery"]["pagination"]["total"] for answer in answers]
    assert totals[:3] == totals[3:]
    assert len(set(totals)) == len(CALLERS)


@pytest.mark.parametrize("failing", ["never", "status", "exception"])
async def test_the_token_goes_upstream_and_nowhere_else(
    upstream: FakeUpstream, failing: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    if failing == "status":
        upstream.answer(403, text=f"no: {TOKEN}", headers={"x-echo": TOKEN})
    elif failing == "exception":
        upstream.fail(RuntimeError("a bug"))
    caplog.set_level(logging.DEBUG)
    async with gateway(upstream, log_level="debug") as client:
        response = await client.post("{ gallery { projects { projectName } } }")

    output = dumped(response) + caplog.text + "".join(capfd.readouterr())
    assert upstream.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in output
    assert "upstream.called" in output


class Owners:
    """A REST API whose pages name the caller that asked, and hold the current version of its list.

    Attributes:
        versions: by caller, the end of whose token is its name.
        revoked: the callers whose tokens are refused.
    """

    def __init__(self, chance: random.Random, callers: list[str]) -> None:
        self.versions = dict.fromkeys(callers, 0)
        self.revoked: set[str] = set()
        self.upstream = FakeUpstream()
        self.upstream.handler = self._answer
        self._chance = chance

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self._chance.choice([0.0, 0.1, 0.7]))
        caller = request.headers["authorization"][-3:]
        if caller in self.revoked:
            return httpx.Response(401)
        if self._chance.random() < 0.05:
            return httpx.Response(503)
        version = str(self.versions[caller])
        return httpx.Response(
            200, json=page_body(project_body(7, created_by=caller, project_name=version, total_images=9))
        )


class Walk:
    """Callers that subscribe, query, hang up, stop reading and lose their tokens in any order."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.callers = [f"mr{number}" for number in range(5)]
        self.api = Owners(self._chance, self.callers)
        self.subscribers: list[tuple[str, Subscriber]] = []
        self.answers: list[tuple[str, Any]] = []

    @property
    def events(self) -> list[tuple[str, Any]]:
        return [(caller, response) for caller, each in self.subscribers for response in each.responses]

    async def take(self, gateway: Gateway, steps: int) -> None:
        for _ in range(steps):
            await self._step(gateway)
            await asyncio.sleep(self._chance.choice([0.0, 0.01, 0.3]))
        for _, subscriber in self.subscribers:
            subscriber.is_reading.set()

    async def _step(self, gateway: Gateway) -> None:
        caller, page = self._chance.choice(self.callers), self._chance.randrange(1, 3)
        token = f"made-up-token-of-{caller}"
        document = f"{{ gallery(page: {page}) {{ projects {{ createdBy projectName }} }} }}"
        steps = ["subscribe", "query", "change", "hang up", "read", "revoke"]
        match self._chance.choices(steps, weights=[80, 80, 80, 60, 40, 4])[0]:
            case "subscribe":
                self.subscribers.append((caller, gateway.subscribe(f"subscription {document}", token=token)))
            case "query":
                self.answers.append((caller, await gateway.client.ask(document, token=token)))
            case "change":
                self.api.versions[caller] += 1
            case "revoke" if len(self.api.revoked) < 2:
                self.api.revoked.add(caller)
            case "hang up" if self.subscribers:
                await self._chance.choice(self.subscribers)[1].hang_up()
            case "read" if self.subscribers:
                reading = self._chance.choice(self.subscribers)[1].is_reading
                (reading.clear if reading.is_set() else reading.set)()


def owners_seen(answers: list[tuple[str, Any]]) -> set[tuple[str, str]]:
    """Who saw whose projects."""
    pages = [(caller, answer.get("data", {}).get("gallery")) for caller, answer in answers]
    return {(caller, project["createdBy"]) for caller, page in pages if page for project in page["projects"]}


@in_virtual_time
async def test_no_stream_shows_a_caller_what_belongs_to_another(pytestconfig: pytest.Config) -> None:
    walk = Walk(pytestconfig.getoption("isolation_seed"))
    async with opened(walk.api.upstream, cache_unfinished_ttl_seconds=0.5) as gateway:
        await walk.take(gateway, pytestconfig.getoption("isolation_steps") // 12)
        # All polls that are under way end, and those of revoked tokens refuse.
        await asyncio.sleep(40)
        still_open = {caller for caller, subscriber in walk.subscribers if not subscriber.task.done()}

    seen = owners_seen([*walk.events, *walk.answers])
    assert {(caller, owner) for caller, owner in seen if caller != owner} == set()
    # It was a walk worth taking.
    assert len(owners_seen(walk.events)) >= 4
    assert len(walk.events) > 2 * len(walk.subscribers)
    assert len(walk.api.revoked) == 2
    assert still_open == set(walk.callers) - walk.api.revoked
