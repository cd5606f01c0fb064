"""A gateway that keeps pages past their freshness, and what its answers say of that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.fakes import Client, FakeUpstream, gateway, page_body, project_body
from tests.gallery.endpoints import ManualClock

NAMES = "{ gallery { projects { projectName } } }"
PROJECT = "{ project(projectId: 1) { projectName } }"
TTL, RENEWING, FAILING = 100, 40, 1_000


def stale_gateway(upstream: FakeUpstream, clock: ManualClock, **settings: Any) -> Any:
    given = {
        "cache_ttl_seconds": TTL,
        "cache_unfinished_ttl_seconds": 3,
        "stale_while_revalidate_seconds": RENEWING,
        "stale_if_error_seconds": FAILING,
        **settings,
    }
    return gateway(upstream, clock=clock.clock, **given)


def named(name: str) -> dict[str, Any]:
    return page_body(project_body(1, project_name=name))


def name_of(answer: Any) -> str:
    name: str = answer["data"]["gallery"]["projects"][0]["projectName"]
    return name


def staleness(answer: Any) -> list[tuple[str, int, str]]:
    """Root field, age and reason of whatever is stale."""
    told = answer.get("extensions", {}).get("stale", [])
    return [(stale["path"][0], stale["ageSeconds"], stale["reason"]) for stale in told]


async def settled(upstream: FakeUpstream, requests: int) -> None:
    """Waits until the renewal that is under way has asked, and its answer is kept."""
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(upstream.requests) == requests


async def kept_before(client: Client, upstream: FakeUpstream, document: str = NAMES) -> None:
    """Has a page kept that says `before`; upstream says `after` from now on."""
    upstream.answer(json=named("before"))
    await client.ask(document)
    upstream.answer(json=named("after"))


def late(
    answered: asyncio.Event, body: dict[str, Any]
) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    async def handler(_request: httpx.Request) -> httpx.Response:
        await answered.wait()
        return httpx.Response(200, json=body)

    return handler
