"""Hive Gateway over a subscription of the gallery, which is served by the real command."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.demo.server import serve_in_thread
from gallery_gateway.schema.build import build_schema
from gallery_gateway.upstream.identity import project_global_id
from tests.federation.programs import HERE, Subgraph, compose, router
from tests.federation.reviews import SCHEMA, reviews_app
from tests.npm import install
from tests.process.serving import PATIENCE_SECONDS, Server, serve
from tests.progress import ADA, BEN, Events, ProgressAPI

PROGRESS = "subscription { gallery { projects { projectName completedImages reviews { body } } } }"
TOTAL = "subscription { gallery { pagination { total } } }"
STREAMS_PER_CALLER = 20


class Graph:
    """The composed graph, and the gateway and the REST API behind it."""

    def __init__(self, http: httpx.AsyncClient, gateway: Server, api: ProgressAPI) -> None:
        self.http = http
        self.gateway = gateway
        self.api = api

    @asynccontextmanager
    async def subscribed(
        self, authorization: str | None = ADA, *, name: str = "any"
    ) -> AsyncIterator[Events]:
        headers = {"accept": "text/event-stream", "x-request-id": name}
        if authorization:
            headers["authorization"] = authorization
        async with self.http.stream(
            "POST", "/graphql", json={"query": PROGRESS}, headers=headers
        ) as response:
            yield Events(response)

    async def ended(self, name: str) -> Any:
        """Wait until the gateway logs that its stream for a request has ended, and return the line."""
        line = await self.gateway.printed(rf'.*"subscription\.ended","request_id":"{name}".*')
        return json.loads(line[0])


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def behind_hive(folder: Path) -> AsyncIterator[Graph]:
    install(HERE)
    api = ProgressAPI()
    with serve_in_thread(api) as api_url, serve_in_thread(reviews_app()) as reviews_url:
        # Without a cache, each stream polls once a second.
        async with serve(api_url, cache_ttl_seconds=0, upstream_max_attempts=1) as gateway:
            (composed,) = compose(
                [
                    Subgraph(name="gallery", sdl=build_schema().sdl, url=f"{gateway.url}/graphql"),
                    Subgraph(name="reviews", sdl=SCHEMA.as_str(), url=reviews_url),
                ]
            )["guild"]
            async with (
                router("hive", composed, folder) as url,
                httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http,
            ):
                yield Graph(http, gateway, api)


@pytest.fixture(scope="module")
async def running_graph(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Graph]:
    async with behind_hive(tmp_path_factory.mktemp("supergraph")) as graph:
        yield graph


@pytest.fixture
def graph(running_graph: Graph) -> Graph:
    running_graph.api.reset()
    return running_graph


def progress(name: str, completed: int) -> Any:
    project = {
        "projectName": name,
        "completedImages": completed,
        "reviews": [{"body": f"of {project_global_id(7)}"}],
    }
    return {"data": {"gallery": {"projects": [project]}}}


def codes(event: Any) -> list[str]:
    return [error["extensions"]["code"] for error in event["errors"]]


async def test_events_follow_the_progress_and_have_the_fields_of_other_subgraphs(graph: Graph) -> None:
    async with graph.subscribed() as events:
        first = await events.next()
        graph.api.completed[ADA] = 1
        second = await events.next()
        graph.api.completed[ADA] = 5
        third = await events.next()

    assert [first, second, third] == [progress("Ada's", completed) for completed in (0, 1, 5)]


async def test_each_caller_gets_the_events_of_its_own_projects(graph: Graph) -> None:
    async with graph.subscribed(ADA) as of_ada, graph.subscribed(BEN) as of_ben:
        first = [await of_ada.next(), await of_ben.next()]
        graph.api.completed[ADA] = 1
        second_of_ada = await of_ada.next()
        graph.api.completed[ADA] = 2
        third_of_ada = await of_ada.next()
        graph.api.completed[BEN] = 9
        second_of_ben = await of_ben.next()

    assert first == [progress("Ada's", 0), progress("Ben's", 0)]
    assert [second_of_ada, third_of_ada] == [progress("Ada's", 1), progress("Ada's", 2)]
    assert second_of_ben == progress("Ben's", 9)


async def test_the_stream_of_the_gateway_ends_when_the_client_of_the_router_leaves(graph: Graph) -> None:
    async with graph.subscribed(name="leaving") as events:
        await events.next()

    ended = await graph.ended("leaving")
    assert (ended["reason"], ended["events"]) == ("disconnected", 1)


async def test_a_token_that_is_refused_later_ends_the_stream_with_its_code(graph: Graph) -> None:
    async with graph.subscribed(name="refused") as events:
        first = await events.next()
        del graph.api.names[ADA]
        second, third = await events.next(), await events.next()

    assert first == progress("Ada's", 0)
    assert codes(second) == ["UNAUTHENTICATED"]
    assert third is None
    assert (await graph.ended("refused"))["reason"] == "refused"


async def test_without_a_token_the_client_is_told_so(graph: Graph) -> None:
    async with graph.subscribed(None) as events:
        first, second = await events.next(), await events.next()

    assert codes(first) == ["UNAUTHENTICATED"]
    assert second is None


async def test_each_subscriber_takes_one_of_the_streams_of_its_caller(graph: Graph) -> None:
    async with AsyncExitStack() as stack:
        callers = [*[BEN] * (STREAMS_PER_CALLER + 1), ADA]
        streams = [await stack.enter_async_context(graph.subscribed(caller)) for caller in callers]
        *of_ben, refused, of_ada = [await events.next() for events in streams]

    assert of_ben == [progress("Ben's", 0)] * STREAMS_PER_CALLER
    assert codes(refused) == ["RATE_LIMITED"]
    assert of_ada == progress("Ada's", 0)


async def test_text_passes_whole_wherever_the_network_divides_it(graph: Graph) -> None:
    # Three bytes each in UTF-8, so that pieces of 64 KiB would begin and end within characters.
    graph.api.names[ADA] = "€" * 200_000

    async with graph.subscribed() as events:
        event = await events.next()

    assert event == progress(graph.api.names[ADA], 0)


async def test_a_gateway_that_shuts_down_completes_the_streams_of_the_router(tmp_path: Path) -> None:
    async with behind_hive(tmp_path) as graph, graph.subscribed() as events:
        await events.next()
        graph.gateway.process.send_signal(signal.SIGTERM)
        event = await events.next()

    assert event is None


async def test_a_gateway_that_breaks_off_is_an_error_for_the_clients_of_the_router(tmp_path: Path) -> None:
    async with behind_hive(tmp_path) as graph, graph.subscribed() as events:
        await events.next()
        graph.gateway.process.send_signal(signal.SIGKILL)
        event, end = await events.next(), await events.next()

    assert codes(event) == ["INTERNAL_SERVER_ERROR"]
    assert end is None


async def test_apollo_gateway_refuses_subscriptions(tmp_path: Path) -> None:
    install(HERE)
    (composed,) = compose([Subgraph(name="gallery", sdl=build_schema().sdl)])["apollo"]

    async with router("apollo", composed, tmp_path) as url, httpx.AsyncClient(timeout=30) as http:
        answer = (await http.post(f"{url}/graphql", json={"query": TOTAL})).json()

    (error,) = answer["errors"]
    assert error["message"] == "Execution of subscriptions not supported by gateway"


# As the source code of these routers writes them; the routers themselves are not part of the tests.
REQUESTS: dict[str, dict[str, Any]] = {
    "Cosmo Router, sse_post": {
        "headers": {
            "accept": "text/event-stream",
            "cache-control": "no-cache",
            "content-type": "application/json",
        },
        "json": {"extensions": None, "operationName": "", "query": TOTAL, "variables": {}},
    },
    "Hive Router": {
        "headers": {
            "accept": 'multipart/mixed;subscriptionSpec="1.0", text/event-stream',
            "connection": "keep-alive",
            "content-type": "application/json; charset=utf-8",
        },
        "json": {"query": TOTAL},
    },
}


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_the_request_of_another_router_opens_a_stream(graph: Graph, sent: dict[str, Any]) -> None:
    headers = {**sent["headers"], "authorization": ADA}
    url = f"{graph.gateway.url}/graphql"

    async with graph.http.stream("POST", url, json=sent["json"], headers=headers) as response:
        event = await Events(response).next()

    assert event == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_a_router_that_subscribes_by_get_is_told_what_to_send(graph: Graph) -> None:
    headers = {"accept": "text/event-stream", "authorization": ADA}
    url = f"{graph.gateway.url}/graphql"

    refused = await graph.http.get(url, params={"query": TOTAL}, headers=headers)
    headers["apollo-require-preflight"] = "1"
    async with graph.http.stream("GET", url, params={"query": TOTAL}, headers=headers) as response:
        event = await Events(response).next()

    assert (refused.status_code, codes(refused.json())) == (400, ["BAD_REQUEST"])
    assert "apollo-require-preflight: 1" in refused.text
    assert event == {"data": {"gallery": {"pagination": {"total": 1}}}}


def test_the_page_has_the_configuration_that_is_run() -> None:
    page = (HERE.parents[1] / "docs/federation.md").read_text(encoding="utf-8")
    config = (HERE / "gateway.config.mjs").read_text(encoding="utf-8")

    (line,) = [line for line in config.splitlines() if "transportEntries" in line]
    assert f"{line}\n" in page
