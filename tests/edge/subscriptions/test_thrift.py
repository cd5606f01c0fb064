"""The upstream calls of subscribers: as many as one of them costs, however many there are."""

import asyncio
from typing import Any

import pytest

from tests.edge.subscriptions.projects_api import COUNTS, FAULTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import in_virtual_time, opened, unbounded

SELECTIONS = [
    COUNTS,
    "subscription { gallery { pagination { total } projects { projectName } } }",
    "subscription { gallery { projects { images(first: 2) { status } } } }",
    "subscription { gallery { projects { images { status output { thumbnail } } } } }",
    "subscription { project(projectId: 7) { pendingImages images(first: 1) { imageIndex } } }",
]
# Fewer polls than with the defaults, since there are a thousand of each.
SETTINGS: dict[str, Any] = {"cache_ttl_seconds": 20, "cache_unfinished_ttl_seconds": 12}
PENDING_AND_DONE = pytest.mark.parametrize(("pending", "expected"), [(1, 5), (0, 3)], ids=["pending", "done"])


async def calls_in_a_minute(*documents: str, pending: int) -> int:
    """Return the upstream calls of subscribers, one for each document, that came within five seconds."""
    api, began_at = ProjectsAPI(project(pending=pending), seconds=0.2), asyncio.get_running_loop().time()
    async with opened(api.upstream, streams=unbounded(), **SETTINGS) as gateway:
        subscribers = []
        for document in documents:
            subscribers.append(gateway.subscribe(document))
            await asyncio.sleep(5 / len(documents))
        await asyncio.sleep(began_at + 60 - asyncio.get_running_loop().time())
        assert {len(subscriber.responses) for subscriber in subscribers} == {1}
        assert len(gateway.streams) == len(documents)
        return len(api.called_at)


@PENDING_AND_DONE
@in_virtual_time
async def test_a_thousand_subscribers_of_a_page_cost_what_one_costs(pending: int, expected: int) -> None:
    calls = [await calls_in_a_minute(*[COUNTS] * number, pending=pending) for number in (1, 10, 1_000)]

    assert calls[0] == expected
    assert max(calls) - min(calls) <= 1


@PENDING_AND_DONE
@in_virtual_time
async def test_subscribers_with_other_selections_share_what_covers_them(pending: int, expected: int) -> None:
    alone = [await calls_in_a_minute(document, pending=pending) for document in SELECTIONS]
    few = await calls_in_a_minute(*SELECTIONS, pending=pending)
    many = await calls_in_a_minute(*SELECTIONS * 20, pending=pending)

    assert alone == [expected] * len(SELECTIONS)
    assert few < sum(alone)
    assert many <= few


@in_virtual_time
async def test_queries_between_the_polls_cost_no_further_calls() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        gateway.subscribe(COUNTS)
        for _ in range(60):
            await asyncio.sleep(1)
            await gateway.client.ask(COUNTS.replace("subscription", "query"))

    assert len(api.called_at) <= 21


@in_virtual_time
async def test_while_the_api_is_down_many_subscribers_call_as_often_as_one() -> None:
    calls = []
    for number in (1, 20):
        api = ProjectsAPI(project())
        async with opened(api.upstream) as gateway:
            subscribers = [gateway.subscribe(COUNTS) for _ in range(number)]
            await asyncio.sleep(5)
            api.fault = FAULTS["503"]
            await asyncio.sleep(120)
            assert [len(subscriber.responses) for subscriber in subscribers] == [1] * number
            calls.append(len(api.called_at))

    assert max(calls) - min(calls) <= 1


@pytest.mark.parametrize("pending", [1, 0], ids=["pending", "done"])
@pytest.mark.parametrize("kept", ["cache off", "no-store"])
@in_virtual_time
async def test_subscribers_share_calls_although_no_page_is_kept(kept: str, pending: int) -> None:
    calls = []
    for number in (1, 20):
        api = ProjectsAPI(project(pending=pending), seconds=0.1)
        if kept == "no-store":
            api.headers = {"cache-control": "no-store"}
        async with opened(api.upstream, cache_ttl_seconds=0 if kept == "cache off" else 30) as gateway:
            for _ in range(number):
                gateway.subscribe(COUNTS)
                await asyncio.sleep(0.05)
            opened_with = len(api.called_at)
            await asyncio.sleep(50)
            calls.append(len(api.called_at) - opened_with)

    assert 45 <= calls[0] <= 51
    assert abs(calls[1] - calls[0]) <= 1
