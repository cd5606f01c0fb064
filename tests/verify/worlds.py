"""REST APIs as they might be: most are the stand-in, with queries and answers changed on their way."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.demo.server import ContractVariant, create_upstream
from gallery_gateway.verify.session import Response, Session, Token
from tests.fakes import image_body, project_body
from tests.gallery.endpoints import page_of
from tests.upstream.sockets import Respond, serving
from tests.verify.opening import DEMO_TOKENS, served, session

World = Callable[[], AbstractAsyncContextManager[Session]]
"""Opens a session with an API."""

Query = dict[str, list[str]]
Body = dict[str, Any]
Edit = Callable[[Body, Query], Any]
"""Returns the body of a page as it is sent, by the query that was asked."""

Change = Callable[[Body], object]
"""Changes an object in place."""

# Projects of the stand-in change with time, but not in a test. Signed links would have expired then.
_NOON = 1_790_000_040.0
_UNSIGNED = ContractVariant(signs_links=False)


class Changing:
    """An API whose queries and answers are changed on their way."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        ask: Callable[[Query], Query],
        edit: Edit,
        statuses: Mapping[int, int],
        refusal: Body | None,
        is_cached: bool,
    ) -> None:
        self._app = app
        self._ask = ask
        self._edit = edit
        self._statuses = statuses
        self._refusal = refusal
        self._cached: dict[bytes, list[Message]] | None = {} if is_cached else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/gallery/by-project":
            await self._app(scope, receive, send)
            return
        target = scope["query_string"]
        messages: list[Message] = []
        if self._cached is not None and target in self._cached:
            messages = self._cached[target]
        else:
            query = parse_qs(target.decode(), keep_blank_values=True)
            asked = urlencode(self._ask(dict(query)), doseq=True).encode()

            async def keep(message: Message) -> None:
                messages.append(message)

            await self._app({**scope, "query_string": asked}, receive, keep)
            messages = self._changed(messages, query)
            if self._cached is not None and messages[0]["status"] == 200:
                self._cached[target] = messages
        for message in messages:
            await send(message)

    def _changed(self, messages: list[Message], query: Query) -> list[Message]:
        status = messages[0]["status"]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        if status == 200:
            body = json.dumps(self._edit(json.loads(body), query)).encode()
        elif status == 422 and self._refusal is not None:
            body = json.dumps(self._refusal).encode()
        return [
            {
                "type": "http.response.start",
                "status": self._statuses.get(status, status),
                "headers": [
                    *((n, v) for n, v in messages[0]["headers"] if n != b"content-length"),
                    (b"content-length", str(len(body)).encode()),
                ],
            },
            {"type": "http.response.body", "body": body},
        ]


def stand_in(
    variant: ContractVariant = _UNSIGNED,
    *,
    ask: Callable[[Query], Query] = lambda query: query,
    edit: Callable[[], Edit] = lambda: lambda body, _query: body,
    statuses: Mapping[int, int] | None = None,
    refusal: Body | None = None,
    is_cached: bool = False,
    tokens: Mapping[Token, str] = DEMO_TOKENS,
    with_links: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> World:
    """Return the stand-in as a world.

    Args:
        variant: of the contract; with signed links, the time is now.
        ask: changes each query.
        edit: makes the change of each page, which may remember pages.
        statuses: other statuses for those of the stand-in.
        refusal: the body of a 422.
        is_cached: each answer of status 200 is given to everybody who asks for the same.
        tokens: of the session.
        with_links: whether the session opens links.
        settings: of the session, by their Python names.
    """

    @asynccontextmanager
    async def world() -> AsyncIterator[Session]:
        now = time.time() if variant.signs_links else _NOON
        upstream = create_upstream(clock=lambda: now, variant=variant)
        app = Changing(
            upstream, ask=ask, edit=edit(), statuses=statuses or {}, refusal=refusal, is_cached=is_cached
        )
        with served(app) as url:
            async with session(url, tokens=tokens, settings=settings, with_links=with_links) as opened:
                yield opened

    return world


def changing(app: Callable[[Callable[[], int]], ASGIApp]) -> World:
    """Return an API as a world; `app` gets a function that counts the calls."""

    @asynccontextmanager
    async def world() -> AsyncIterator[Session]:
        calls = 0
        inner = app(lambda: calls)

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal calls
            calls += 1
            await inner(scope, receive, send)

        with served(counting) as url:
            async with session(url) as opened:
                yield opened

    return world


def moving_on(*, after_calls: int, seconds: float) -> World:
    """Return the stand-in as a world in which time stands still, but for a leap after some calls."""
    return changing(
        lambda calls: create_upstream(
            clock=lambda: _NOON + (seconds if calls() > after_calls else 0), variant=_UNSIGNED
        )
    )


def growing(*, after_calls: int) -> World:
    """Return a list of projects as a world that gets another one after some calls; it knows no filters."""

    defaults = {"page": "1", "per_page": "20", "max_images_per_project": "50"}

    def app(calls: Callable[[], int]) -> ASGIApp:
        async def answer(request: Request) -> JSONResponse:
            newest = 30 if calls() > after_calls else 29
            projects = [project_body(n, image_body(), image_body(1)) for n in range(newest, 0, -1)]
            if request.query_params.get("order") == "asc":
                projects.reverse()
            return JSONResponse(page_of(projects, {**defaults, **request.query_params}))

        return Starlette(routes=[Route("/gallery/by-project", answer)])

    return changing(app)


def raw(respond: Respond, *, host: str = "127.0.0.1") -> World:
    """Return a server that answers with bytes as a world."""

    @asynccontextmanager
    async def world() -> AsyncIterator[Session]:
        async with serving(respond) as server:
            url = server.url.replace("127.0.0.1", host)
            async with session(url) as opened:
                yield opened

    return world


def slow(*, seconds: float) -> World:
    """Return the stand-in after a response that took long as a world."""

    @asynccontextmanager
    async def world() -> AsyncIterator[Session]:
        async with stand_in()() as opened:
            opened.responses.append(Response(200, httpx.Headers(), b"{}", 2, {}, seconds))
            yield opened

    return world


def unreachable(url: str) -> World:
    """Return a URL without a server as a world."""
    return lambda: session(url)


def without(*names: str) -> Callable[[Query], Query]:
    """Ignore parameters."""
    return lambda query: {name: values for name, values in query.items() if name not in names}


def asking(name: str, value: str) -> Callable[[Query], Query]:
    """Take another value for a parameter, where it is sent."""
    return lambda query: {**query, name: [value]} if name in query else query


def each_page(change: Change) -> Callable[[], Edit]:
    """Change each page in place."""

    def edit(body: Body, _query: Query) -> Body:
        change(body)
        return body

    return lambda: edit


def each_project(change: Change) -> Callable[[], Edit]:
    """Change each project in place."""
    return each_page(lambda body: [change(project) for project in body["projects"]])


def each_image(change: Change) -> Callable[[], Edit]:
    """Change each image in place."""
    return each_project(lambda project: [change(image) for image in project["images"]])


def where(name: str, value: str | None, edit: Callable[[], Edit]) -> Callable[[], Edit]:
    """Change the pages that are asked for with a parameter; `None` is any value."""

    def make() -> Edit:
        changed = edit()

        def chosen(body: Body, query: Query) -> Body:
            is_meant = name in query and value in {None, query[name][-1]}
            result: Body = changed(body, query) if is_meant else body
            return result

        return chosen

    return make


def numbered(change: Callable[[Body, int], object]) -> Callable[[], Edit]:
    """Change each page in place, by how many pages came before."""

    def make() -> Edit:
        count = iter(range(1_000))

        def edit(body: Body, _query: Query) -> Body:
            change(body, next(count))
            return body

        return edit

    return make


def removed(name: str) -> Change:
    return lambda changed: changed.pop(name, None)


def holding(name: str, value: object) -> Change:
    return lambda changed: changed.update({name: value})
