"""Ids beyond 32 bits, and projects whose id is none: each costs itself at most."""

import json
from typing import Any

import httpx
import pytest

from gallery_gateway.gallery.pagination import CursorPosition
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.cursors import decode_cursor, encode_cursor, list_hash
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import Client, FakeUpstream, gateway, image_body, page_body, parameters_of, project_body

SAFE = 2**53 - 1
IDS = [7, 2**31, 3_000_000_001, SAFE, SAFE + 1, 2**63 - 1, 2**63, 10**30, -5, -(2**31) - 1, -SAFE - 1, 0]


def written(number: int) -> int | str:
    return number if abs(number) <= SAFE else str(number)


@pytest.fixture
def upstream() -> FakeUpstream:
    """A list of projects with these ids."""
    upstream = FakeUpstream()

    def answer(request: httpx.Request) -> httpx.Response:
        asked = parameters_of(request)
        named = asked.get("project_id")
        listed = [each for each in IDS if named in (None, str(each))]
        start = (int(asked["page"]) - 1) * int(asked["per_page"])
        page = listed[start : start + int(asked["per_page"])]
        body = page_body(*(project_body(number, image_body(0)) for number in page), total=len(listed))
        return httpx.Response(200, json=body)

    upstream.handler = answer
    return upstream


async def test_a_page_has_every_id(client: Client) -> None:
    answer = await client.ask("{ gallery { projects { projectId id } } }")

    projects = [{"projectId": written(number), "id": project_global_id(number)} for number in IDS]
    assert answer == {"data": {"gallery": {"projects": projects}}}


FIELDS = [
    "project(projectId: %s) { projectId }",
    "gallery(projectId: %s) { projects { projectId } }",
    "projects(projectId: %s) { nodes { projectId } }",
]


@pytest.mark.parametrize("number", [number for number in IDS if -(2**63) <= number < 2**63])
@pytest.mark.parametrize("spelling", [int, str])
@pytest.mark.parametrize("field", FIELDS)
async def test_arguments_take_every_id(
    client: Client, upstream: FakeUpstream, number: int, spelling: Any, field: str
) -> None:
    value = spelling(number)

    literal = await client.ask(f"{{ {field.replace('%s', json.dumps(value))} }}")
    variable = await client.ask(f"query ($id: BigInt!) {{ {field.replace('%s', '$id')} }}", {"id": value})

    assert "errors" not in literal
    assert literal == variable
    assert json.dumps(written(number)) in json.dumps(literal["data"])
    assert {parameters_of(request)["project_id"] for request in upstream.requests} == {str(number)}


@pytest.mark.parametrize("number", IDS)
async def test_node_takes_every_id(client: Client, number: int) -> None:
    document = "query ($id: ID!) { node(id: $id) { ... on Project { projectId } } }"

    answer = await client.ask(document, {"id": project_global_id(number)})

    assert answer == {"data": {"node": {"projectId": written(number)}}}


async def test_entities_take_every_id(client: Client) -> None:
    numbers = [number for number in IDS if -(2**63) <= number < 2**63]
    keys = [{"projectId": written(number)} for number in numbers]
    keys += [{"id": project_global_id(number)} for number in IDS]
    document = "query ($r: [_Any!]!) { _entities(representations: $r) { ... on Project { projectId } } }"

    answer = await client.ask(document, {"r": [{"__typename": "Project", **key} for key in keys]})

    found = [{"projectId": written(number)} for number in [*numbers, *IDS]]
    assert answer == {"data": {"_entities": found}}


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_a_walk_passes_every_id(client: Client, size: int) -> None:
    document = (
        "query ($n: Int!, $after: String) { projects(first: $n, after: $after)"
        " { nodes { projectId } pageInfo { hasNextPage endCursor } } }"
    )
    walked: list[Any] = []
    after, has_next = None, True
    while has_next:
        connection = (await client.ask(document, {"n": size, "after": after}))["data"]["projects"]
        walked += [node["projectId"] for node in connection["nodes"]]
        after, has_next = connection["pageInfo"]["endCursor"], connection["pageInfo"]["hasNextPage"]

    assert walked == list(map(written, IDS))


OLD_VARIABLES = [
    ("$id: Int!", "project(projectId: $id) { projectId }", {"id": 7}),
    ("$id: Int! = 7", "project(projectId: $id) { projectId }", {}),
    ("$id: Int = 7", "project(projectId: $id) { projectId }", {}),
    ("$id: Int", "project: gallery(projectId: $id) { projects { projectId } }", {"id": 7}),
    ("$id: Int!", "project: gallery(projectId: $id, perPage: $id) { projects { projectId } }", {"id": 7}),
]


@pytest.mark.parametrize(("definition", "field", "variables"), OLD_VARIABLES)
async def test_a_variable_may_still_be_an_int(
    client: Client, definition: str, field: str, variables: dict[str, Any]
) -> None:
    answer = await client.ask(f"query ({definition}) {{ {field} }}", variables)

    assert answer["data"]["project"] in ({"projectId": 7}, {"projects": [{"projectId": 7}]})


WRONG_VARIABLES = [
    ("$id: Int", "project(projectId: $id) { id }"),
    ("$id: String!", "project(projectId: $id) { id }"),
    ("$id: ID!", "project(projectId: $id) { id }"),
    ("$id: [Int!]!", "project(projectId: $id) { id }"),
    ("$id: BigInt!", "gallery(perPage: $id) { pagination { page } }"),
    ("$id: Int!", "gallery(search: $id) { pagination { page } }"),
]


@pytest.mark.parametrize(("definition", "field"), WRONG_VARIABLES)
async def test_a_variable_of_another_type_is_refused(client: Client, definition: str, field: str) -> None:
    answer = await client.ask(f"query ({definition}) {{ {field} }}", {"id": 7})

    assert "used in position expecting type" in answer["errors"][0]["message"]
    assert answer["errors"][0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}


NO_PROJECT: dict[str, Any] = {
    "null": None,
    "a text": "project",
    "a number": 7,
    "a list": [],
    "no id": {"images": []},
    "null for an id": {"project_id": None, "images": []},
    "a text for an id": {"project_id": "seven", "images": []},
    "digits for an id": {"project_id": "7", "images": []},
    "a fraction for an id": {"project_id": 7.5, "images": []},
    "a float for an id": {"project_id": 7.0, "images": []},
    "a boolean for an id": {"project_id": True, "images": []},
    "no images": {"project_id": 8, "images": None},
    "an image without identity": {"project_id": 8, "images": [{"status": "completed"}]},
}
DOCUMENTS = {
    "gallery": "{ gallery { projects { id projectId images { id } } } }",
    "nodes": "{ projects { nodes { id projectId images { id } } } }",
    "edges": "{ projects { edges { cursor node { id projectId images { id } } } } }",
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("damaged", NO_PROJECT.values(), ids=NO_PROJECT)
async def test_a_damaged_project_costs_itself_and_no_other(damaged: Any, document: str) -> None:
    upstream = FakeUpstream()
    upstream.answer(json=page_body(project_body(1), damaged, project_body(3), total=3))

    async with gateway(upstream) as client:
        answer = await client.ask(document)

    [listed] = [each for root in answer["data"].values() for each in root.values()]
    first, second, third = [each["node"] if "node" in (each or {}) else each for each in listed]
    assert (first["projectId"], second, third["projectId"]) == (1, None, 3)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"UPSTREAM_CONTRACT"}
    assert all(1 in error["path"] for error in answer["errors"])


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("selection", ["__typename", "projectName"])
async def test_a_project_that_is_no_object_is_never_left_out_in_silence(
    document: str, selection: str
) -> None:
    upstream = FakeUpstream()
    damaged: Any = None
    upstream.answer(json=page_body(project_body(1), damaged, total=2))

    async with gateway(upstream) as client:
        answer = await client.ask(document.replace("id projectId images { id }", selection))

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UPSTREAM_CONTRACT"]


@pytest.mark.parametrize("number", [number for number in IDS if -(2**63) < number < 2**63])
def test_a_cursor_holds_every_id(number: int) -> None:
    listed = list_hash(GalleryRequest())
    position = CursorPosition(3, number, 9)

    assert decode_cursor("after", encode_cursor(position, listed), listed) == position
