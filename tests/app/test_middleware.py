"""Middleware of the process that embeds the app guards operations, on every server."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway import Settings, create_app
from tests.edge.replays.echo_server import served
from tests.edge.replays.gateway_server import BY_POST, with_header
from tests.fakes import TOKEN, FakeUpstream

HEADERS = {"authorization": f"Bearer {TOKEN}"}
BODY = {"query": "{ gallery { pagination { total } } }"}
PASS = "x-pass"


class Guard:
    """Pure ASGI middleware that refuses requests without a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and PASS.encode() not in dict(scope["headers"]):
            await PlainTextResponse("no pass", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class StarletteGuard(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request) if PASS in request.headers else PlainTextResponse("no pass", 403)


def added(app: FastAPI) -> ASGIApp:
    app.add_middleware(Guard)
    return app


def added_twice(app: FastAPI) -> ASGIApp:
    app.add_middleware(StarletteGuard)
    app.add_middleware(Guard)
    return app


def decorated(app: FastAPI) -> ASGIApp:
    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request) if PASS in request.headers else PlainTextResponse("no pass", 403)

    return app


GUARDS = pytest.mark.parametrize("guarded", [added, added_twice, decorated])


def build(upstream: FakeUpstream, **options: Any) -> FastAPI:
    settings = Settings.read(_env_file=None, log_level="error", cache_ttl_seconds=30)
    return create_app(settings, transport=upstream, **options)


@GUARDS
@pytest.mark.parametrize("path", ["/graphql", "/gallery/graphql"], ids=["alone", "mounted"])
async def test_middleware_guards_operations(upstream: FakeUpstream, guarded: Any, path: str) -> None:
    gateway = build(upstream)
    outer = FastAPI(lifespan=gateway.router.lifespan_context)
    outer.mount("/gallery", guarded(gateway))
    app = gateway if path == "/graphql" else outer

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://outer") as http,
    ):
        refused = await http.post(path, json=BODY, headers=HEADERS)
        allowed = await http.post(path, json=BODY, headers={**HEADERS, PASS: "yes"})

    assert (refused.status_code, refused.text) == (403, "no pass")
    assert allowed.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
    assert len(upstream.requests) == 1


async def test_middleware_changes_the_headers_of_operations_once(upstream: FakeUpstream) -> None:
    gateway = build(upstream)

    @gateway.middleware("http")
    async def mark(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-mark"] = "seen"
        return response

    async with (
        gateway.router.lifespan_context(gateway),
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://outer") as http,
    ):
        response = await http.post("/graphql", json=BODY, headers=HEADERS)

    names = [name.lower() for name, _ in response.headers.raw]
    assert response.headers["x-mark"] == "seen"
    assert sorted(names) == sorted(set(names))


@GUARDS
@pytest.mark.parametrize("owns_process", [False, True])
async def test_no_server_replays_a_response_past_middleware(
    upstream: FakeUpstream, guarded: Any, owns_process: bool
) -> None:
    app = guarded(build(upstream, owns_process=owns_process))

    async with served(app, timeout_seconds=10) as server:
        client = await server.connect()
        for _ in range(4):
            head, _ = await client.ask(with_header(BY_POST, b"x-pass: yes"))
            assert head.startswith("http/1.1 200")
        head, body = await client.ask(BY_POST)

    assert (head.split()[1], body) == ("403", b"no pass")


async def test_no_server_replays_a_response_past_an_app_around_it(upstream: FakeUpstream) -> None:
    async with served(Guard(build(upstream)), timeout_seconds=10) as server:
        client = await server.connect()
        for _ in range(4):
            await client.ask(with_header(BY_POST, b"x-pass: yes"))
        head, body = await client.ask(BY_POST)

    assert (head.split()[1], body) == ("403", b"no pass")


async def test_operations_skip_routing_without_middleware(upstream: FakeUpstream) -> None:
    app = build(upstream)

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://outer") as http,
    ):
        await http.post("/graphql", json=BODY, headers=HEADERS)

    assert app.middleware_stack is None


async def test_operations_under_way_end_before_the_outer_app(upstream: FakeUpstream) -> None:
    """The flight of a client that left is cancelled, and leaves nothing behind."""
    arrived = asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    upstream.handler = never
    gateway = build(upstream)

    async with (
        gateway.router.lifespan_context(gateway),
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://outer") as http,
    ):
        sending = asyncio.create_task(http.post("/graphql", json=BODY, headers=HEADERS))
        await arrived.wait()
        sending.cancel()
        await asyncio.wait([sending])

    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in left if "gallery_gateway" in repr(task)] == []
