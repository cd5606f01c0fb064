"""Overload: a 503 if no field has a value, and otherwise the fields that have one."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gallery_gateway.upstream.limiter import LimiterRules
from gallery_gateway.upstream.resilience import ResilienceRules
from tests.edge.sending import GRAPHQL_RESPONSE, JSON, codes
from tests.fakes import OTHER_TOKEN, Client, FakeUpstream, gateway, page_body

TOTAL = "{ gallery { pagination { total } } }"
BOTH = "{ known: gallery { pagination { total } } other: gallery(page: 2) { pagination { total } } }"

NO_QUEUE = ResilienceRules(limiter=LimiterRules(max_waiting=0, max_wait_seconds=2))


@pytest.fixture
async def busy(upstream: FakeUpstream) -> AsyncIterator[Client]:
    """A gateway that knows the first page, and whose one connection is taken."""
    taken, release = asyncio.Event(), asyncio.Event()

    async def held(_request: httpx.Request) -> httpx.Response:
        taken.set()
        await release.wait()
        return httpx.Response(200, json=page_body())

    async with gateway(upstream, upstream_max_connections=1, rules=NO_QUEUE) as client:
        await client.ask(TOTAL)
        upstream.handler = held
        holder = asyncio.create_task(client.ask(TOTAL, token=OTHER_TOKEN))
        await taken.wait()
        yield client
        release.set()
        await holder


@pytest.mark.parametrize("media_type", [GRAPHQL_RESPONSE, JSON])
async def test_where_nothing_could_be_answered_it_is_a_503_that_says_when_to_come_again(
    busy: Client, upstream: FakeUpstream, media_type: str
) -> None:
    response = await busy.post(
        "{ gallery(page: 2) { pagination { total } } }", headers={"accept": media_type}
    )

    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith(media_type)
    assert "data" not in response.json()
    assert response.json()["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryAfter": 2}
    assert len(upstream.requests) == 2


async def test_where_something_could_be_answered_it_is(busy: Client) -> None:
    response = await busy.post(BOTH, headers={"accept": GRAPHQL_RESPONSE})

    assert response.status_code == 200
    assert response.json()["data"] == {"known": {"pagination": {"total": 1}}, "other": None}
    assert codes(response) == ["OVERLOADED"]


async def test_a_page_past_its_freshness_is_better_than_a_refusal(upstream: FakeUpstream) -> None:
    upstream.answer(json=page_body(), headers={"cache-control": "max-age=0, stale-if-error=60"})
    taken, release = asyncio.Event(), asyncio.Event()

    async def held(_request: httpx.Request) -> httpx.Response:
        taken.set()
        await release.wait()
        return httpx.Response(200, json=page_body())

    async with gateway(upstream, upstream_max_connections=1, rules=NO_QUEUE) as client:
        await client.ask(TOTAL)
        upstream.handler = held
        holder = asyncio.create_task(client.ask(TOTAL, token=OTHER_TOKEN))
        await taken.wait()

        answer = await client.ask(TOTAL)

        release.set()
        await holder
    assert answer["data"] == {"gallery": {"pagination": {"total": 1}}}
    assert answer["extensions"]["stale"][0]["reason"] == "OVERLOADED"


async def test_what_is_known_is_answered_as_ever(busy: Client) -> None:
    assert await busy.ask(TOTAL) == {"data": {"gallery": {"pagination": {"total": 1}}}}
