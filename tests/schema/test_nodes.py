"""`nodes`: each id has its project, or null, or an error at its own path."""

from typing import Any

import pytest

from gallery_gateway.upstream.identity import image_global_id, project_global_id
from tests.fakes import Client, FakeUpstream, parameters_of
from tests.gallery.endpoints import caps, listing

NODES = "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { id ... on Project { projectId } } }"
IMAGE = image_global_id("job", 0, 0, 0)


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(*(3 for _ in range(240)))
    return upstream


async def nodes(client: Client, *ids: int | str, document: str = NODES, **sent: Any) -> Any:
    given = [project_global_id(each) if isinstance(each, int) else each for each in ids]
    return await client.ask(document, {"ids": given}, **sent)


def numbers(answer: Any) -> list[int | None]:
    return [node and node["projectId"] for node in answer["data"]["nodes"]]


async def test_nodes_come_in_the_order_of_their_ids(client: Client) -> None:
    answer = await nodes(client, 3, 1, 999, 2, 3)

    assert "errors" not in answer
    assert numbers(answer) == [3, 1, None, 2, 3]


async def test_an_id_that_comes_again_is_loaded_once(client: Client, upstream: FakeUpstream) -> None:
    await nodes(client, *[7] * 100)

    assert [parameters_of(request)["project_id"] for request in upstream.requests] == ["7"]


async def test_nodes_of_one_page_cost_one_call(client: Client, upstream: FakeUpstream) -> None:
    answer = await nodes(client, *range(1, 101))

    assert numbers(answer) == list(range(1, 101))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("nonsense", "The value in `ids` is not the id of a Project"),
        (IMAGE, "ask for its project"),
        ("", "The value in `ids` is not the id of a Project"),
    ],
)
async def test_a_bad_id_has_an_error_of_its_own_and_the_rest_are_answered(
    client: Client, bad: str, told: str
) -> None:
    answer = await nodes(client, 1, bad, 2, bad)

    assert [error["path"] for error in answer["errors"]] == [["nodes", 1], ["nodes", 3]]
    for error in answer["errors"]:
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "ids"}
        assert told in error["message"]
    assert numbers(answer) == [1, None, 2, None]


async def test_more_ids_than_the_limit_are_refused_without_a_call(
    client: Client, upstream: FakeUpstream
) -> None:
    answer = await nodes(client, *[1] * 101)

    (error,) = answer["errors"]
    assert (answer["data"], error["path"]) == (None, ["nodes"])
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "ids"}
    assert "holds 101 ids; the limit is 100." in error["message"]
    assert upstream.requests == []


async def test_no_ids_are_no_nodes(client: Client, upstream: FakeUpstream) -> None:
    assert await nodes(client) == {"data": {"nodes": []}}
    assert upstream.requests == []


async def test_without_a_token_nothing_is_loaded(client: Client, upstream: FakeUpstream) -> None:
    answer = await nodes(client, 1, token=None)

    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["nodes"], "UNAUTHENTICATED")
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("selection", "cap"),
    [("projectName", 1), ("images(first: 2) { id }", 2), ("images { id }", 50)],
)
async def test_images_are_asked_for_as_far_as_they_are_selected(
    client: Client, upstream: FakeUpstream, selection: str, cap: int
) -> None:
    await nodes(client, 1, document=NODES.replace("projectId", selection))

    assert caps(upstream) == [cap]


async def test_what_the_endpoint_refuses_names_the_ids(client: Client, upstream: FakeUpstream) -> None:
    refusal = {"field": "project_id", "message": "no", "position": "query"}
    upstream.answer(422, json={"error": "Invalid request", "detail": [refusal]})

    answer = await nodes(client, 1)

    (error,) = answer["errors"]
    assert error["path"] == ["nodes", 0]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "ids"}
