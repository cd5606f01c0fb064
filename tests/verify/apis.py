"""REST APIs for `verify`, as ASGI apps: the stand-in with one fault."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.gallery.endpoints import page_of
from tests.verify.opening import DEMO_TOKENS, still_upstream


def faulty(
    fault: Response | None, *, at: Callable[[int], bool], reached: Callable[[], None] | None = None
) -> ASGIApp:
    """Return the stand-in, which answers the calls `at` these numbers, from 1, with a fault or never.

    Args:
        fault: `None` is silence until the client hangs up.
        at: whether the call with this number fails.
        reached: called at each fault.
    """
    stand_in, calls = still_upstream(), 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        calls += 1
        if not at(calls):
            await stand_in(scope, receive, send)
            return
        if reached is not None:
            reached()
        if fault is None:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await fault(scope, receive, send)

    return app


def empty_account() -> ASGIApp:
    """Return the stand-in without projects."""

    async def page(request: Request) -> Response:
        if request.headers.get("authorization") not in {f"Bearer {token}" for token in DEMO_TOKENS.values()}:
            return Response(status_code=401)
        defaults = {"page": "1", "per_page": "20", "max_images_per_project": "50"}
        return JSONResponse(page_of([], {**defaults, **request.query_params}))

    return Starlette(routes=[Route("/gallery/by-project", page)])


class Megabytes(StreamingResponse):
    """A body of many megabytes, which can be sent again."""

    def __init__(self, count: int) -> None:
        self._count = count
        super().__init__(iter(()), media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = (b" " * 1024 * 1024 for _ in range(self._count))
        await StreamingResponse(parts, media_type="application/json")(scope, receive, send)
