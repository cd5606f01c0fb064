"""`_entities`: each representation has its project, or null, or an error at its own path."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.upstream.identity import image_global_id, project_global_id
from tests.fakes import OTHER_TOKEN, Client, FakeUpstream, page_body, parameters_of, project_body
from tests.gallery.endpoints import caps, listing

COMMITTED = Path(__file__).parent.parent.parent / "schema.graphql"

ENTITIES = """query Entities($representations: [_Any!]!) {
  _entities(representations: $representations) { ... on Project { projectId projectName } }
}"""


def by_id(number: int) -> dict[str, Any]:
    return {"__typename": "Project", "id": project_global_id(number)}


def by_number(number: int) -> dict[str, Any]:
    return {"__typename": "Project", "projectId": number}


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(*(3 for _ in range(240)))
    return upstream


async def entities(client: Client, *representations: Any, document: str = ENTITIES, **sent: Any) -> Any:
    return await client.ask(document, {"representations": list(representations)}, **sent)


def numbers(answer: Any) -> list[int | None]:
    return [entity and entity["projectId"] for entity in answer["data"]["_entities"]]


async def test_entities_come_in_the_order_of_their_representations(client: Client) -> None:
    answer = await entities(client, by_number(3), by_id(1), by_number(2), by_id(3))

    assert "errors" not in answer
    assert numbers(answer) == [3, 1, 2, 3]


async def test_one_project_by_either_key_is_asked_for_once(client: Client, upstream: FakeUpstream) -> None:
    await entities(client, *([by_id(7), by_number(7)] * 10))

    assert [parameters_of(request)["project_id"] for request in upstream.requests] == ["7"]


BAD: dict[str, tuple[Any, str]] = {
    "not an object": ("Project", "must be an object"),
    "a list": ([by_number(1)], "must be an object"),
    "null for a type": ({"__typename": None, "projectId": 1}, "needs its `__typename`"),
    "no type": ({"projectId": 1}, "needs its `__typename`"),
    "an unknown type": ({"__typename": "Review", "id": "1"}, "no entity of the type 'Review'"),
    "a type that is no entity": ({"__typename": "Gallery"}, "no entity of the type 'Gallery'"),
    "a long type": ({"__typename": "x" * 99}, f"the type '{'x' * 50}'."),
    "an image": ({"__typename": "Image", "id": image_global_id("job", 0, 0, 0)}, "ask for its project"),
    "no key": ({"__typename": "Project", "projectName": "Silk"}, "needs its `id` or its `projectId`"),
    "an id of no project": ({"__typename": "Project", "id": "nonsense"}, "not the id of a Project"),
    "an id of an image": (
        {"__typename": "Project", "id": image_global_id("job", 0, 0, 0)},
        "not the id of a Project",
    ),
    "an id that is a number": ({"__typename": "Project", "id": 7}, "not the id of a Project"),
    "a null id": ({"__typename": "Project", "id": None}, "not the id of a Project"),
    "a text that is no number": ({"__typename": "Project", "projectId": "seven"}, "not a BigInt"),
    "a number with a leading zero": ({"__typename": "Project", "projectId": "07"}, "not a BigInt"),
    "a number that is a boolean": ({"__typename": "Project", "projectId": True}, "not a BigInt"),
    "a number with a fraction": ({"__typename": "Project", "projectId": 7.5}, "not a BigInt"),
    "a number beyond 64 bits": ({"__typename": "Project", "projectId": 2**63}, "not a BigInt"),
    "a list for a number": ({"__typename": "Project", "projectId": [7]}, "not a BigInt"),
    "two projects at once": ({**by_id(1), "projectId": 2}, "name different projects"),
}


@pytest.mark.parametrize(("bad", "told"), BAD.values(), ids=BAD)
async def test_a_bad_representation_has_an_error_of_its_own_and_the_rest_are_answered(
    client: Client, bad: Any, told: str
) -> None:
    answer = await entities(client, by_number(1), bad, by_id(2))

    (error,) = answer["errors"]
    assert error["path"] == ["_entities", 1]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "representations"}
    assert told in error["message"]
    assert numbers(answer) == [1, None, 2]


async def test_a_null_representation_is_refused_as_its_type_says(client: Client) -> None:
    answer = await entities(client, by_number(1), None)

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_other_fields_of_a_representation_do_not_matter(client: Client) -> None:
    required = {**by_id(1), "projectId": 1, "projectName": "Silk", "images": [{"id": "x"}], "__other": None}

    assert numbers(await entities(client, required)) == [1]


async def test_representations_may_stand_in_the_document(client: Client) -> None:
    document = ENTITIES.replace("query Entities($representations: [_Any!]!)", "").replace(
        "$representations", '[{__typename: "Project", projectId: 2}]'
    )

    assert numbers(await client.ask(document)) == [2]


async def test_no_representations_are_no_entities(client: Client, upstream: FakeUpstream) -> None:
    assert await entities(client) == {"data": {"_entities": []}}
    assert upstream.requests == []


async def test_an_unknown_project_is_null(client: Client) -> None:
    answer = await entities(client, by_number(999), by_number(1))

    assert "errors" not in answer
    assert numbers(answer) == [None, 1]


@pytest.mark.parametrize("status", [404, 200])
async def test_an_unknown_project_is_null_however_the_endpoint_says_so(
    client: Client, upstream: FakeUpstream, status: int
) -> None:
    upstream.answer(status, json={**page_body(), "projects": []})

    assert await entities(client, by_number(999)) == {"data": {"_entities": [None]}}


async def test_the_variables_serve_a_second_field_as_they_served_the_first(client: Client) -> None:
    document = """query Entities($representations: [_Any!]!) {
      a: _entities(representations: $representations) { ... on Project { projectId } }
      b: _entities(representations: $representations) { ... on Project { projectId } }
    }"""

    answer = await entities(client, by_number(1), {"__typename": "Nothing"}, document=document)

    assert answer["data"]["a"] == answer["data"]["b"] == [{"projectId": 1}, None]


async def test_more_representations_than_the_limit_are_refused(client: Client) -> None:
    allowed = await entities(client, *(by_number(1) for _ in range(1_000)))
    more = await entities(client, *(by_number(1) for _ in range(1_001)))

    assert numbers(allowed) == [1] * 1_000
    (error,) = more["errors"]
    assert (more["data"], error["path"]) == (None, ["_entities"])
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "representations"}
    assert "holds 1001 representations; the limit is 1000." in error["message"]


async def test_without_a_token_nothing_is_loaded(client: Client, upstream: FakeUpstream) -> None:
    answer = await entities(client, by_number(1), token=None)

    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["_entities"], "UNAUTHENTICATED")
    assert upstream.requests == []


async def test_the_interface_and_the_type_can_be_asked_for(client: Client) -> None:
    document = ENTITIES.replace("... on Project { projectId projectName }", "__typename ... on Node { id }")

    answer = await entities(client, by_number(1), document=document)

    assert answer["data"]["_entities"] == [{"__typename": "Project", "id": project_global_id(1)}]


@pytest.mark.parametrize(
    ("selection", "cap"),
    [("projectName", 1), ("images(first: 2) { id }", 2), ("images { id }", 50)],
)
async def test_images_are_asked_for_as_far_as_they_are_selected(
    client: Client, upstream: FakeUpstream, selection: str, cap: int
) -> None:
    document = ENTITIES.replace("projectName", selection)

    await entities(client, by_number(1), document=document)

    assert caps(upstream) == [cap]


async def test_what_the_endpoint_refuses_names_the_representations(
    client: Client, upstream: FakeUpstream
) -> None:
    refusal = {"field": "project_id", "message": "no", "position": "query"}
    upstream.answer(422, json={"error": "Invalid request", "detail": [refusal]})

    answer = await entities(client, by_number(1))

    (error,) = answer["errors"]
    assert error["path"] == ["_entities", 0]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "representations"}


async def test_an_error_of_one_project_costs_that_project_alone(
    client: Client, upstream: FakeUpstream
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(parameters_of(request)["project_id"])
        return httpx.Response(500 if number == 2 else 200, json=page_body(project_body(number)))

    upstream.handler = answer

    told = await entities(client, by_number(1), by_number(2))

    assert numbers(told) == [1, None]
    assert [(e["path"], e["extensions"]["code"]) for e in told["errors"]] == [
        (["_entities", 1], "UPSTREAM_UNAVAILABLE")
    ]


async def test_one_callers_entities_are_never_anothers(client: Client, upstream: FakeUpstream) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        # The end of the token: all of it may come out nowhere.
        whose = request.headers["authorization"][-3:]
        return httpx.Response(200, json=page_body(project_body(1, project_name=whose)))

    upstream.handler = answer
    mine = await entities(client, by_number(1))

    theirs = await entities(client, by_number(1), token=OTHER_TOKEN)

    assert mine["data"]["_entities"][0]["projectName"] != theirs["data"]["_entities"][0]["projectName"]
    assert theirs["data"]["_entities"][0]["projectName"] == OTHER_TOKEN[-3:]


async def test_the_bill_tells_what_references_cost(client: Client) -> None:
    variables = {"representations": [by_number(n) for n in range(1, 21)]}
    asks = {"x-gateway-report": "1"}

    cold, hot = [(await client.post(ENTITIES, variables, headers=asks)).json() for _ in range(2)]

    bills = [answer["extensions"]["upstream"] for answer in (cold, hot)]
    assert [(bill["calls"], bill["merged"], bill["hits"]) for bill in bills] == [(1, 19, 0), (0, 0, 20)]


async def test_the_sdl_of_the_service_is_the_committed_schema(client: Client) -> None:
    answer = await client.ask("{ _service { sdl } }", token=None)

    assert answer == {"data": {"_service": {"sdl": COMMITTED.read_text(encoding="utf-8")}}}
