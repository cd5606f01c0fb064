"""REST APIs for `verify`, as ASGI apps: the stand-in with one fault."""

from collections.abc import Callable

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.verify.opening import still_upstream


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


class Megabytes(StreamingResponse):
    """A body of many megabytes, which can be sent again."""

    def __init__(self, count: int) -> None:
        self._count = count
        super().__init__(iter(()), media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = (b" " * 1024 * 1024 for _ in range(self._count))
        await StreamingResponse(parts, media_type="application/json")(scope, receive, send)
