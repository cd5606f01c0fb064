"""The app under a prefix: mounted in another app, or behind a proxy that the server knows about."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway import Settings, create_app
from gallery_gateway.demo.frontend import frontend_routes
from tests.fakes import TOKEN, FakeUpstream, parameters_of

HEADERS = {"authorization": f"Bearer {TOKEN}"}
BODY = {"query": "{ gallery(perPage: 3) { pagination { total } } }"}


def build(upstream: FakeUpstream, **settings: Any) -> FastAPI:
    return create_app(Settings.read(_env_file=None, **settings), transport=upstream)


def mounted_in_fastapi(gateway: FastAPI) -> ASGIApp:
    outer = FastAPI(lifespan=gateway.router.lifespan_context)
    outer.mount("/gallery", gateway)
    return outer


def mounted_in_starlette(gateway: FastAPI) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with gateway.router.lifespan_context(gateway):
            yield

    return Starlette(routes=[Mount("/gallery", gateway)], lifespan=lifespan)


def mounted_twice(gateway: FastAPI) -> ASGIApp:
    middle = Starlette(routes=[Mount("/lery", gateway)])
    return Starlette(routes=[Mount("/gal", middle)], lifespan=gateway.router.lifespan_context)


class RootPath:
    """What uvicorn makes of requests with `--root-path`: it adds the prefix, which a proxy has removed."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path, raw_path = scope["path"], scope["raw_path"]
            scope["root_path"] = self._root_path
            scope["path"] = self._root_path + path
            scope["raw_path"] = self._root_path.encode() + raw_path
        await self._app(scope, receive, send)


@asynccontextmanager
async def started(outer: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose lifespan runs as a server runs it."""
    assert isinstance(outer, Starlette)
    async with outer.router.lifespan_context(outer), client_of(outer) as http:
        yield http


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://outer")


MOUNTS = pytest.mark.parametrize(
    ("mounted", "prefix"),
    [(mounted_in_fastapi, "/gallery"), (mounted_in_starlette, "/gallery"), (mounted_twice, "/gal/lery")],
    ids=["FastAPI", "Starlette", "twice"],
)


@MOUNTS
async def test_a_mounted_app_answers_operations(upstream: FakeUpstream, mounted: Any, prefix: str) -> None:
    async with started(mounted(build(upstream))) as http:
        response = await http.post(f"{prefix}/graphql", json=BODY, headers=HEADERS)
        elsewhere = await http.post("/graphql", json=BODY, headers=HEADERS)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
    assert parameters_of(upstream.requests[0])["per_page"] == "3"
    assert (elsewhere.status_code, len(upstream.requests)) == (404, 1)


@pytest.mark.parametrize("root_path", ["/gw", "/gw/", "/g/w"])
async def test_an_app_behind_a_root_path_answers_operations(upstream: FakeUpstream, root_path: str) -> None:
    app = build(upstream)

    async with app.router.lifespan_context(app), client_of(RootPath(app, root_path)) as http:
        response = await http.post("/graphql", json=BODY, headers=HEADERS)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


@pytest.mark.parametrize("path", ["/gw/graphql", "/graphql"])
async def test_an_app_with_a_prefix_of_its_own_answers_operations(upstream: FakeUpstream, path: str) -> None:
    """A proxy may remove the prefix or leave it. The tests turn warnings, such as FastAPI's, into errors."""
    app = build(upstream, path_prefix="/gw")

    async with app.router.lifespan_context(app), client_of(app) as http:
        response = await http.post(path, json=BODY, headers=HEADERS)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_a_server_that_gives_no_raw_path_gets_answers(upstream: FakeUpstream) -> None:
    app = build(upstream)

    async def without_raw_path(scope: Scope, receive: Receive, send: Send) -> None:
        del scope["raw_path"]
        await app(scope, receive, send)

    async with app.router.lifespan_context(app), client_of(without_raw_path) as http:
        response = await http.post("/graphql", json=BODY, headers=HEADERS)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


@MOUNTS
@pytest.mark.parametrize("path", ["/graphql", "/tools/graphiql"])
async def test_the_links_of_graphiql_lead_below_the_prefix(
    upstream: FakeUpstream, mounted: Any, prefix: str, path: str
) -> None:
    async with started(mounted(build(upstream, graphiql_path=path))) as http:
        page = await http.get(f"{prefix}{path}", headers={"accept": "text/html"})
        links = [httpx.URL(page.url).join(link) for link in re.findall(r'(?:href|src)="([^"]+)"', page.text)]
        files = [await http.get(link) for link in links]
        (endpoint,) = re.findall(r'data-endpoint="([^"]+)"', page.text)

    assert len(files) == 3
    assert [file.status_code for file in files] == [200] * 3
    assert httpx.URL(page.url).join(endpoint).path == f"{prefix}/graphql"


async def test_the_links_of_the_demo_page_lead_below_the_prefix(upstream: FakeUpstream) -> None:
    gateway = build(upstream)
    gateway.router.routes.extend(frontend_routes(pictures_origin="http://p", explorer_path="/graphql"))

    async with started(mounted_in_fastapi(gateway)) as http:
        page = await http.get("/gallery/")
        links = [httpx.URL(page.url).join(link) for link in re.findall(r'(?:href|src)="([^"]+)"', page.text)]
        files = [await http.get(link) for link in links if link.path.startswith("/gallery/demo/")]

    assert files
    assert {file.status_code for file in files} == {200}
    assert [link.path for link in links if not link.path.startswith("/gallery")] == []


@pytest.mark.parametrize("path", ["/gallery/livez", "/gallery/readyz"])
async def test_a_mounted_app_tells_its_health(upstream: FakeUpstream, path: str) -> None:
    async with started(mounted_in_fastapi(build(upstream))) as http:
        response = await http.get(path)

    assert response.status_code == 200


async def test_an_app_without_its_lifespan_says_what_is_missing(upstream: FakeUpstream) -> None:
    outer = FastAPI()
    outer.mount("/gallery", build(upstream))

    async with client_of(outer) as http:
        ready = await http.get("/gallery/readyz")
        with pytest.raises(RuntimeError, match=r"lifespan=gateway\.router\.lifespan_context"):
            await http.post("/gallery/graphql", json=BODY, headers=HEADERS)

    assert ready.status_code == 503


async def test_an_app_can_be_started_again(upstream: FakeUpstream) -> None:
    outer = mounted_in_fastapi(build(upstream))

    for _ in range(2):
        async with started(outer) as http:
            response = await http.post("/gallery/graphql", json=BODY, headers=HEADERS)

            assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
