"""Streams behind middleware and servers that differ from those of the command `serve`."""

import asyncio
from typing import Any

import pytest
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.edge.subscriptions.projects_api import COUNTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import Gateway, in_virtual_time, opened


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


class Failing:
    """Middleware whose `receive` raises an error once the connection is closed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_fail() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RuntimeError("The connection is closed.")
            return message

        await self._app(scope, receive_or_fail, send)


class Repeating:
    """Middleware that reads the body, and gives it whenever the app receives, as many examples do."""

    def __init__(self, app: ASGIApp, *, given: list[Message]) -> None:
        self._app = app
        self._given = given

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()

        async def repeat() -> Message:
            self._given.append(message)
            if len(self._given) > 100:
                # A loop would never end.
                await asyncio.Event().wait()
            return message

        await self._app(scope, repeat, send)


MIDDLEWARE: list[list[tuple[Any, dict[str, Any]]]] = [
    [(BaseHTTPMiddleware, {"dispatch": pass_on})],
    [(GZipMiddleware, {"minimum_size": 1})],
    [(GZipMiddleware, {"minimum_size": 1}), (BaseHTTPMiddleware, {"dispatch": pass_on})],
    [(Failing, {})],
]


def add(gateway: Gateway, middleware: list[tuple[Any, dict[str, Any]]]) -> None:
    for kind, options in middleware:
        gateway.app.add_middleware(kind, **options)


@pytest.mark.parametrize("middleware", MIDDLEWARE)
@in_virtual_time
async def test_events_pass_through_middleware_at_once(middleware: list[tuple[Any, dict[str, Any]]]) -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        add(gateway, middleware)
        subscriber = gateway.subscribe(COUNTS, accept_encoding="gzip")
        await asyncio.sleep(1)
        first = list(subscriber.responses)
        api.projects = [project(pending=0)]
        await asyncio.sleep(4)
        gateway.streams.close()
        await subscriber.ended()

    assert len(first) == 1
    assert [event.name for event in subscriber.events] == ["next", "next", "complete"]
    assert "content-encoding" not in subscriber.headers


@pytest.mark.parametrize("middleware", MIDDLEWARE)
@in_virtual_time
async def test_a_client_behind_middleware_is_missed_when_it_leaves(
    middleware: list[tuple[Any, dict[str, Any]]],
) -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        add(gateway, middleware)
        before = asyncio.all_tasks()
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        await subscriber.hang_up()
        await asyncio.sleep(0.1)

        assert dict(gateway.streams.ended) == {"disconnected": 1}
        assert asyncio.all_tasks() == before


@in_virtual_time
async def test_a_request_that_middleware_repeats_is_not_received_for_ever() -> None:
    api = ProjectsAPI(project(pending=0))
    given: list[Message] = []
    async with opened(api.upstream) as gateway:
        gateway.app.add_middleware(Repeating, given=given)
        subscriber = gateway.subscribe(COUNTS)
        await subscriber.ended()

    assert [event.name for event in subscriber.events] == ["next", "complete"]
    assert len(given) <= 3
