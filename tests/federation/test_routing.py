"""Hive Gateway and Apollo Gateway over the gallery and another subgraph: one graph for few upstream calls."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.app import create_app
from gallery_gateway.demo.server import serve_in_thread
from gallery_gateway.schema.build import build_schema
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import OTHER_TOKEN, TOKEN, FakeUpstream, page_body, parameters_of, project_body
from tests.federation.programs import HERE, ROUTERS, Subgraph, compose, router
from tests.federation.reviews import SCHEMA, reviews_app
from tests.gallery.endpoints import listing
from tests.npm import install

REVIEWED = """query Reviewed($ids: [ID!]!) {
  reviewsOf(ids: $ids) { body project { projectName images(first: 2) { imageIndex } } }
}"""


class Recorder:
    """An ASGI app that keeps the GraphQL requests which come to the one behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.documents: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        self.documents.append(json.loads(body)["query"])

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


class Graph:
    """The composed graph, and what was asked of each of its parts."""

    def __init__(self, http: httpx.AsyncClient, gallery: Recorder, upstream: FakeUpstream) -> None:
        self._http = http
        self.gallery = gallery
        self.upstream = upstream

    async def ask(self, document: str, token: str | None = TOKEN, **variables: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": document, "variables": variables}
        return (await self._http.post("/graphql", json=body, headers=headers)).json()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=ROUTERS)
async def running_graph(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Graph]:
    install(HERE)
    upstream = FakeUpstream()
    app = create_app(Settings.read(_env_file=None, cache_ttl_seconds=0), transport=upstream)
    gallery = Recorder(app)
    with (
        serve_in_thread(gallery, lifespan="on") as gallery_url,
        serve_in_thread(reviews_app()) as reviews_url,
    ):
        (composed,) = compose(
            [
                Subgraph(name="gallery", sdl=build_schema().sdl, url=f"{gallery_url}/graphql"),
                Subgraph(name="reviews", sdl=SCHEMA.as_str(), url=reviews_url),
            ]
        )["guild"]
        folder = tmp_path_factory.mktemp("supergraph")
        async with (
            router(request.param, composed, folder) as url,
            httpx.AsyncClient(base_url=url, timeout=30) as http,
        ):
            yield Graph(http, gallery, upstream)


@pytest.fixture
def graph(running_graph: Graph) -> Graph:
    """It, with 240 projects of 3 images each; nothing is kept, so that every operation is a cold one."""
    running_graph.upstream.handler = listing(*(3 for _ in range(240)))
    running_graph.upstream.requests.clear()
    running_graph.gallery.documents.clear()
    return running_graph


def ids(*numbers: int) -> list[str]:
    return [project_global_id(number) for number in numbers]


async def test_projects_and_images_of_the_gallery_have_their_reviews(graph: Graph) -> None:
    answer = await graph.ask(
        "{ gallery(perPage: 2) { projects { projectName reviews { body } images(first: 1) { reviews } } } }"
    )

    assert answer == {
        "data": {
            "gallery": {
                "projects": [
                    {
                        "projectName": f"Project {number}",
                        "reviews": [{"body": f"of {project_global_id(number)}"}],
                        "images": [{"reviews": [f"of job-{number}/0/0/0"]}],
                    }
                    for number in (1, 2)
                ]
            }
        }
    }


async def test_reviews_have_the_projects_that_they_refer_to(graph: Graph) -> None:
    answer = await graph.ask(REVIEWED, ids=ids(2, 1, 2))

    names = [review["project"]["projectName"] for review in answer["data"]["reviewsOf"]]
    assert names == ["Project 2", "Project 1", "Project 2"]


@pytest.mark.parametrize(("first", "calls"), [(1, 1), (91, 2)])
async def test_twenty_references_cost_one_request_and_one_call_or_two(
    graph: Graph, first: int, calls: int
) -> None:
    numbers = range(first, first + 20)

    answer = await graph.ask(REVIEWED, ids=ids(*numbers))

    assert "errors" not in answer
    names = [review["project"]["projectName"] for review in answer["data"]["reviewsOf"]]
    assert names == [f"Project {number}" for number in numbers]
    assert [document.count("_entities") for document in graph.gallery.documents] == [1]
    assert len(graph.upstream.requests) == calls


async def test_the_callers_own_token_goes_upstream_and_no_other(graph: Graph) -> None:
    await graph.ask(REVIEWED, ids=ids(1))
    await graph.ask(REVIEWED, OTHER_TOKEN, ids=ids(1))

    sent = [request.headers["authorization"] for request in graph.upstream.requests]
    assert sent == [f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}"]


async def test_without_a_token_the_client_is_told_so(graph: Graph) -> None:
    answer = await graph.ask(REVIEWED, None, ids=ids(1))

    assert {error["extensions"]["code"] for error in answer["errors"]} == {"UNAUTHENTICATED"}
    assert graph.upstream.requests == []


async def test_an_error_of_one_reference_stands_at_its_own_place_and_the_rest_are_answered(
    graph: Graph,
) -> None:
    answer = await graph.ask(
        "query Q($ids: [ID!]!) { reviewsOf(ids: $ids) { body project { id projectName } } }",
        ids=[*ids(1), "nonsense", *ids(2)],
    )

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["path"][:3] == ["reviewsOf", 1, "project"]
    projects = [review["project"] for review in answer["data"]["reviewsOf"]]
    assert projects[0]["projectName"] == "Project 1"
    assert projects[2]["projectName"] == "Project 2"


async def test_what_the_endpoint_refuses_comes_through_with_its_code(graph: Graph) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = parameters_of(request)["project_id"]
        return httpx.Response(503 if number == "2" else 200, json=page_body())

    graph.upstream.handler = answer

    told = await graph.ask(REVIEWED, ids=ids(7, 2))

    assert {error["extensions"]["code"] for error in told["errors"]} == {"UPSTREAM_UNAVAILABLE"}


NAME = "projectName"
IMAGES = "projectName images(first: 2) { imageIndex }"
LARGE = 3_000_000_001


@pytest.mark.parametrize("selection", [NAME, IMAGES])
async def test_a_reference_to_an_unknown_project_costs_itself_if_it_is_nullable(
    graph: Graph, selection: str
) -> None:
    document = f"query ($ids: [ID!]!) {{ reviewsOf(ids: $ids) {{ body project {{ {selection} }} }} }}"

    answer = await graph.ask(document, ids=ids(1, 999, 2))

    reviews = answer["data"]["reviewsOf"]
    assert [review["body"] for review in reviews] == [f"of {each}" for each in ids(1, 999, 2)]
    assert [(review["project"] or {}).get("projectName") for review in reviews] == [
        "Project 1",
        None,
        "Project 2",
    ]


async def test_a_reference_to_an_unknown_project_costs_the_operation_if_it_is_not_nullable(
    graph: Graph,
) -> None:
    """`images` must not be null, and nothing up to the root may be."""
    document = f"query ($ids: [ID!]!) {{ reviewsOf(ids: $ids) {{ body sureProject {{ {IMAGES} }} }} }}"

    answer = await graph.ask(document, ids=ids(1, 999, 2))

    assert answer["data"] is None
    # Apollo Gateway says why in its extensions, and has no errors.
    assert ("errors" in answer) != ("valueCompletion" in answer.get("extensions", {}))


async def test_of_an_unknown_project_only_nullable_fields_are_null(graph: Graph) -> None:
    document = f"query ($ids: [ID!]!) {{ reviewsOf(ids: $ids) {{ sureProject {{ {NAME} }} }} }}"

    answer = await graph.ask(document, ids=ids(1, 999))

    reviews = [{"sureProject": {"projectName": name}} for name in ("Project 1", None)]
    assert answer == {"data": {"reviewsOf": reviews}}


async def test_an_outage_costs_the_references_and_no_more_if_they_are_nullable(graph: Graph) -> None:
    graph.upstream.answer(503)

    answer = await graph.ask(REVIEWED, ids=ids(1, 2))

    assert [review["body"] for review in answer["data"]["reviewsOf"]] == [f"of {each}" for each in ids(1, 2)]
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"UPSTREAM_UNAVAILABLE"}


@pytest.mark.parametrize("number", [LARGE, 2**53 + 1, -5])
async def test_ids_beyond_32_bits_pass_a_router(graph: Graph, number: int) -> None:
    written = number if abs(number) < 2**53 else str(number)
    graph.upstream.answer(json=page_body(project_body(number)))

    listed = await graph.ask("{ gallery { projects { projectId reviews { body } } } }")
    single = await graph.ask(
        "query ($id: BigInt!) { project(projectId: $id) { projectId reviews { body } } }", id=written
    )

    project = {"projectId": written, "reviews": [{"body": f"of {project_global_id(number)}"}]}
    assert listed == {"data": {"gallery": {"projects": [project]}}}
    assert single == {"data": {"project": project}}
