"""Several operations in one request: off by default, bounded where they are on."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.edge.sending import codes, send
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway, page_body, project_body

TYPENAME = {"query": "{ __typename }"}
TOTAL = {"query": "{ gallery { pagination { total } } }"}
AS_ADA = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def batching(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream, batch_max_operations=3) as client:
        yield client


async def post(client: Client, *operations: Any, **headers: str) -> httpx.Response:
    return await send(client, json.dumps(operations).encode(), **headers)


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b' \n[{"query": "{ __typename }"}]', b"[" * 1000])
async def test_by_default_a_batch_is_refused(client: Client, body: bytes) -> None:
    response = await send(client, body)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert "batches are switched off" in response.json()["errors"][0]["message"]


async def test_each_operation_of_a_batch_has_its_own_answer_in_order(batching: Client) -> None:
    named = {"query": "query($id: Int!) { project(projectId: $id) { projectName } }", "variables": {"id": 7}}

    response = await post(batching, TYPENAME, named, TOTAL, **AS_ADA)

    assert response.status_code == 200
    assert response.json() == [
        {"data": {"__typename": "Query"}},
        {"data": {"project": {"projectName": "Project 7"}}},
        {"data": {"gallery": {"pagination": {"total": 1}}}},
    ]


async def test_an_operation_that_fails_leaves_the_others_answered(batching: Client) -> None:
    response = await post(
        batching, TYPENAME, {"query": "{"}, {"query": "{ gallery(page: 0) { projects { id } } }"}
    )

    first, second, third = response.json()
    assert response.status_code == 200
    assert first == {"data": {"__typename": "Query"}}
    assert second["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
    assert third["data"] == {"gallery": None}
    assert response.headers["cache-control"] == "no-store"


async def test_the_operations_of_a_batch_share_calls(batching: Client, upstream: FakeUpstream) -> None:
    await post(batching, TOTAL, TOTAL, TOTAL, **AS_ADA)

    assert len(upstream.requests) == 1


async def test_a_batch_is_kept_no_longer_than_its_shortest_lived_answer(batching: Client) -> None:
    response = await post(batching, TYPENAME, TOTAL, **AS_ADA)

    # Nothing is kept of the type name, and the total for thirty seconds.
    assert response.headers["cache-control"] in {"private, max-age=29", "private, max-age=30"}
    assert response.headers["age"] == "0"


async def test_a_batch_is_answered_for_its_own_caller(batching: Client, upstream: FakeUpstream) -> None:
    name = {"query": "{ gallery { projects { projectName } } }"}
    for _ in range(3):
        await post(batching, name, name, **AS_ADA)
    upstream.answer(json=page_body(project_body(7, project_name="ben's")))

    response = await post(batching, name, name, authorization=f"Bearer {OTHER_TOKEN}")

    assert [answer["data"]["gallery"]["projects"][0]["projectName"] for answer in response.json()] == [
        "ben's"
    ] * 2


async def test_a_batch_that_is_longer_than_its_bound_is_refused(
    batching: Client, upstream: FakeUpstream
) -> None:
    response = await post(batching, *[TOTAL] * 4, **AS_ADA)

    assert response.status_code == 413
    assert "3 operations (BATCH_MAX_OPERATIONS)" in response.json()["errors"][0]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "body", [b"[]", b"[null]", b"[[]]", b'[{"query": "{ __typename }"}, 7]', b"[", b"[{}]"]
)
async def test_a_batch_of_anything_else_is_refused_as_a_whole(batching: Client, body: bytes) -> None:
    response = await send(batching, body)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
