"""A page is parsed only for the fields that an operation selects; operations that share it miss nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fakes import Client, FakeUpstream, gateway, image_body, page_body, project_body

NAMES = "{ gallery(maxImagesPerProject: 2) { projects { projectName images { id } } } }"
STATUSES = "{ gallery(maxImagesPerProject: 2) { projects { projectId images { status qualityScore } } } }"


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream) as client:
        yield client


def statuses(answer: Any) -> list[str]:
    return [image["status"] for image in answer["data"]["gallery"]["projects"][0]["images"]]


def page_of(*images: dict[str, Any]) -> dict[str, Any]:
    return page_body(project_body(7, *images))


async def test_operations_that_share_a_call_and_select_other_things_each_get_theirs(
    client: Client, upstream: FakeUpstream
) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def late(_request: httpx.Request) -> httpx.Response:
        is_asked.set()
        await may_answer.wait()
        return httpx.Response(200, json=page_of(image_body(0), image_body(1)))

    upstream.handler = late
    asking = [asyncio.create_task(client.ask(NAMES))]
    await is_asked.wait()
    asking += [asyncio.create_task(client.ask(document)) for document in (STATUSES, NAMES, STATUSES)]
    # Until all of them wait for the call.
    await asyncio.sleep(0.05)
    may_answer.set()

    names, some, same_names, same = await asyncio.gather(*asking)

    assert len(upstream.requests) == 1
    assert statuses(some) == statuses(same) == ["completed", "completed"]
    assert names == same_names
    assert names["data"]["gallery"]["projects"][0]["projectName"] == "Project 7"


async def test_what_was_not_read_when_a_page_came_is_found_in_it_later(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(json=page_of(image_body(0), image_body(1)))
    await client.ask(NAMES)

    answer = await client.ask(STATUSES)

    assert statuses(answer) == ["completed", "completed"]
    assert len(upstream.requests) == 1


async def test_damage_that_is_not_selected_costs_those_who_select_it_later(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(json=page_of(image_body(0), image_body(1, quality_score="high")))
    names = await client.ask(NAMES)

    answer = await client.ask(STATUSES)

    assert "errors" not in names
    assert [error["path"][-1] for error in answer["errors"]] == ["qualityScore"]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("damaged", [{"pagination": None}, {"pagination": 1}, {"projects": {}}])
async def test_what_is_no_page_is_none_whatever_is_selected(
    client: Client, upstream: FakeUpstream, damaged: dict[str, Any]
) -> None:
    upstream.answer(json={**page_body(), **damaged})

    answer = await client.ask("{ gallery { projects { projectName } } }")

    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_CONTRACT"


async def test_an_unfinished_image_shortens_a_page_that_is_asked_for_without_images(
    upstream: FakeUpstream,
) -> None:
    upstream.answer(json=page_of(image_body(0, status="processing")))

    async with gateway(upstream, cache_ttl_seconds=30, cache_unfinished_ttl_seconds=3) as client:
        answer = await client.post("{ gallery { projects { projectName } } }")

    assert answer.headers["cache-control"] == "private, max-age=2"


async def test_what_the_graph_cannot_say_of_a_page_costs_its_own_field(
    client: Client, upstream: FakeUpstream
) -> None:
    # A whole number for the endpoint, and too large for GraphQL's Int.
    upstream.answer(json=page_body(project_body(7, total_images=2**31)))

    answer = await client.ask("{ gallery { projects { id totalImages images { id } } } }")

    assert [error["path"] for error in answer["errors"]] == [["gallery", "projects", 0, "totalImages"]]
    assert answer["data"]["gallery"]["projects"][0]["id"]
