"""Limits and switches as a client meets them, over HTTP."""

import time
from typing import Any

import pytest

from tests.edge.sending import GRAPHQL_RESPONSE, codes, send
from tests.fakes import FakeUpstream, gateway

NAMES = "{ gallery { projects { projectName } } }"
SEARCH = "query($of: String) { gallery(search: $of) { pagination { total } } }"
FEEDBACK = "query($of: [String!]) { gallery(feedback: $of) { pagination { total } } }"
IMAGES = "{ gallery(perPage: 10, maxImagesPerProject: 5) { projects { images { id } } } }"
ANY_IMAGES = "query($n: Int!) { gallery(perPage: $n, maxImagesPerProject: 5) { projects { images { id } } } }"


@pytest.mark.parametrize(
    ("document", "variables", "settings", "code"),
    [
        ("{" + " __typename" * 31 + "}", None, {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ __typename }" + " " * 32_768, None, {}, "GRAPHQL_PARSE_FAILED"),
        (IMAGES, None, {"operation_max_cost": 49}, "GRAPHQL_VALIDATION_FAILED"),
        (ANY_IMAGES, {"n": 10}, {"operation_max_cost": 49}, "GRAPHQL_VALIDATION_FAILED"),
        (FEEDBACK, {"of": ["x"] * 10}, {"max_variable_values": 10}, "BAD_USER_INPUT"),
        (FEEDBACK, {"of": [["x"] * 5] * 2}, {"max_variable_values": 12}, "BAD_USER_INPUT"),
        (SEARCH, {"of": {"a": {"b": ["c"] * 8}}}, {"max_variable_values": 10}, "BAD_USER_INPUT"),
    ],
)
async def test_what_is_too_much_is_refused_before_anything_is_asked_upstream(
    upstream: FakeUpstream,
    document: str,
    variables: dict[str, object] | None,
    settings: dict[str, Any],
    code: str,
) -> None:
    async with gateway(upstream, **settings) as client:
        response = await client.post(document, variables, headers={"accept": GRAPHQL_RESPONSE})

    assert response.status_code == 400
    assert codes(response) == [code]
    assert "GALLERY_GATEWAY_" in response.json()["errors"][0]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("document", "variables", "settings"),
    [
        (IMAGES, None, {"operation_max_cost": 50}),
        (ANY_IMAGES, {"n": 10}, {"operation_max_cost": 50}),
        (FEEDBACK, {"of": ["x"] * 9}, {"max_variable_values": 10}),
    ],
)
async def test_as_much_as_is_allowed_is_answered(
    upstream: FakeUpstream, document: str, variables: dict[str, object] | None, settings: dict[str, Any]
) -> None:
    async with gateway(upstream, **settings) as client:
        answer = await client.ask(document, variables)

    assert "errors" not in answer


DEEP = 100_000
HOSTILE_BODIES = {
    "lists in variables": b'{"query": "%s", "variables": {"of": %s}}'
    % (SEARCH.encode(), b"[" * DEEP + b"]" * DEEP),
    "objects in variables": b'{"query": "%s", "variables": {"of": %s}}'
    % (SEARCH.encode(), b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
    "many items": b'{"query": "%s", "variables": {"of": [%s1]}}' % (FEEDBACK.encode(), b"1," * DEEP),
    "wrong items": b'{"query": "%s", "variables": {"of": [%s1]}}' % (FEEDBACK.encode(), b"1," * 9_900),
    "a huge string": b'{"query": "%s", "variables": {"of": "%s"}}' % (SEARCH.encode(), b"x" * 250_000),
    "a huge integer": b'{"query": "%s", "variables": {"of": %s}}' % (SEARCH.encode(), b"9" * 250_000),
    "a huge document": b'{"query": "{ %s }"}' % (b"a " * DEEP),
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
async def test_a_hostile_body_is_refused_within_20_milliseconds(upstream: FakeUpstream, name: str) -> None:
    spent, told = [], set()
    async with gateway(upstream) as client:
        for _ in range(3):
            started = time.process_time()
            response = await send(client, HOSTILE_BODIES[name], authorization="Bearer made-up")
            spent.append(1000 * (time.process_time() - started))
            told.add(codes(response)[0])

    assert told <= {"BAD_REQUEST", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED"}
    assert upstream.requests == []
    # Three times as much as is promised, for machines that are busy with other things.
    assert min(spent) < 60


@pytest.mark.parametrize(
    "document", ["{ __schema { types { name } } }", '{ __type(name: "Project") { name } }']
)
async def test_introspection_can_be_switched_off(upstream: FakeUpstream, document: str) -> None:
    async with gateway(upstream, introspection=False) as client:
        refused = await client.ask(document)
        answer = await client.ask("{ __typename gallery { __typename } }")

    assert {error["extensions"]["code"] for error in refused["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    assert "introspection has been disabled" in refused["errors"][0]["message"]
    assert answer["data"]["__typename"] == "Query"


@pytest.mark.parametrize("switch", [True, False])
async def test_suggestions_can_be_switched_off(upstream: FakeUpstream, switch: bool) -> None:
    async with gateway(upstream, suggestions=switch) as client:
        unknown = await client.ask("{ gallery { projects { projectNam } } }")
        variable = await client.ask(
            "query($order: SortOrder!) { gallery(order: $order) { __typename } }", {"order": "DES"}
        )

    assert ("Did you mean" in unknown["errors"][0]["message"]) is switch
    assert ("Did you mean" in variable["errors"][0]["message"]) is switch
