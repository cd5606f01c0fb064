"""The bill of an operation, for those who ask for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fakes import Client, FakeUpstream, gateway, page_body
from tests.gallery.endpoints import ManualClock, listing

REPORT = {"x-gateway-report": "1"}


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(8, 3)
    return upstream


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with gateway(upstream, clock=clock.clock, stale_while_revalidate_seconds=0) as client:
        yield client


async def bill(client: Client, document: str, **headers: str) -> dict[str, Any]:
    response = await client.post(document, headers={**REPORT, **headers})
    upstream: dict[str, Any] = response.json()["extensions"]["upstream"]
    return upstream


def counted(bill: dict[str, Any]) -> tuple[int, int, int, int]:
    """Calls, hits, collapsed and merged."""
    return bill["calls"], bill["hits"], bill["collapsed"], bill["merged"]


async def test_nobody_gets_a_bill_unasked(client: Client) -> None:
    response = await client.post("{ gallery { pagination { total } } }")

    assert "extensions" not in response.json()


@pytest.mark.parametrize("value", ["0", "", "yes"])
async def test_only_a_1_asks_for_the_bill(client: Client, value: str) -> None:
    response = await client.post("{ __typename }", headers={"x-gateway-report": value})

    assert "extensions" not in response.json()


async def test_a_setting_gives_everybody_the_bill(upstream: FakeUpstream) -> None:
    async with gateway(upstream, report_always=True) as client:
        answer = await client.ask("{ gallery { pagination { total } } }")

    assert answer["extensions"]["upstream"]["calls"] == 1


async def test_an_operation_that_asks_for_nothing_costs_nothing(client: Client) -> None:
    assert await bill(client, "{ __typename }") == {
        "calls": 0,
        "hits": 0,
        "stale": 0,
        "collapsed": 0,
        "merged": 0,
        "narrowed": None,
        "bytes": 0,
        "milliseconds": 0,
    }


async def test_a_page_that_is_not_known_is_a_call(client: Client) -> None:
    assert counted(await bill(client, "{ gallery { pagination { total } } }")) == (1, 0, 0, 0)


async def test_a_page_that_is_known_is_a_hit(client: Client) -> None:
    await client.ask("{ gallery { projects { images { id } } } }")

    costs = await bill(client, "{ gallery { projects { id } } a: project(projectId: 2) { id } }")

    assert counted(costs) == (0, 2, 0, 0)
    assert (costs["bytes"], costs["milliseconds"]) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        "a: gallery { projects { id } } b: gallery { projects { id } } c: gallery { projects { id } }",
        """a: gallery { projects { id } } b: gallery { projects { images { id } } }
           c: gallery { projects { images(first: 3) { id } } }""",
        """a: gallery { projects { id } } b: gallery(perPage: 1) { projects { id } }
           c: project(projectId: 2) { id }""",
        "a: project(projectId: 2) { id } b: project(projectId: 2) { id } c: gallery { projects { id } }",
    ],
)
async def test_fields_that_share_a_call_of_the_operation_are_merged(client: Client, fields: str) -> None:
    assert counted(await bill(client, f"{{ {fields} }}")) == (1, 0, 0, 2)


async def test_a_call_of_another_operation_that_is_shared_is_collapsed(upstream: FakeUpstream) -> None:
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(_request: httpx.Request) -> httpx.Response:
        arrived.set()
        await released.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = hold
    async with gateway(upstream) as client:
        first = asyncio.create_task(bill(client, "{ gallery { projects { id } } }"))
        await arrived.wait()
        second = asyncio.create_task(bill(client, "{ gallery { projects { id } } }"))
        for _ in range(50):
            await asyncio.sleep(0)
        released.set()

        costs = await first, await second

    assert [counted(cost) for cost in costs] == [(1, 0, 0, 0), (0, 0, 1, 0)]
    assert costs[1]["bytes"] == 0


async def test_narrowing_tells_how_many_images_were_spared(client: Client) -> None:
    costs = await bill(client, "{ gallery { projects { images(first: 2) { id } } } }")

    assert costs["narrowed"] == {"from": 20 * 50, "to": 20 * 2}


async def test_narrowing_adds_up_over_the_fields(client: Client) -> None:
    costs = await bill(
        client,
        """{ gallery(perPage: 10, maxImagesPerProject: 5) { projects { images { id } } }
             project(projectId: 2, maxImages: 40) { id } }""",
    )

    assert costs["narrowed"] == {"from": 50 + 40, "to": 50 + 1}


async def test_an_operation_that_selects_all_images_is_not_narrowed(client: Client) -> None:
    costs = await bill(client, "{ gallery { projects { images { id } } } }")

    assert costs["narrowed"] is None


async def test_bytes_are_those_of_the_answers_that_came(client: Client, upstream: FakeUpstream) -> None:
    body = httpx.Response(200, json=page_body()).content
    upstream.handler = lambda _request: httpx.Response(200, content=body)

    costs = await bill(client, "{ a: gallery { projects { id } } b: gallery(page: 2) { projects { id } } }")

    assert costs["bytes"] == 2 * len(body)


async def test_milliseconds_are_those_of_the_calls(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    def answer_slowly(_request: httpx.Request) -> httpx.Response:
        clock.step(0.125)
        return httpx.Response(200, json=page_body())

    upstream.handler = answer_slowly

    costs = await bill(client, "{ gallery { projects { id } } }")

    assert costs["milliseconds"] == 125


async def test_a_call_that_fails_is_on_the_bill(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(503)

    costs = await bill(client, "{ a: gallery { projects { id } } b: gallery { projects { id } } }")

    assert counted(costs) == (1, 0, 0, 1)


async def test_a_page_that_is_renewed_is_a_call_without_bytes(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(), headers={"etag": '"a"'})
    await client.ask("{ gallery { projects { id } } }")
    clock.step(30)
    upstream.answer(304)

    costs = await bill(client, "{ gallery { projects { id } } }")

    assert (costs["calls"], costs["bytes"]) == (1, 0)


async def test_reading_past_the_cache_is_a_call(client: Client) -> None:
    await client.ask("{ gallery { projects { id } } }")

    costs = await bill(client, "{ gallery { projects { id } } }", **{"cache-control": "no-cache"})

    assert counted(costs) == (1, 0, 0, 0)


async def test_an_operation_without_a_caller_has_a_bill_of_nothing(client: Client) -> None:
    response = await client.post("{ gallery { projects { id } } }", token=None, headers=REPORT)

    assert counted(response.json()["extensions"]["upstream"]) == (0, 0, 0, 0)
