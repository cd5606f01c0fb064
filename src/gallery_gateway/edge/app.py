"""The FastAPI app: it reaches the endpoint before any routing, and serves health checks."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.edge.headers import RawHeader, ResponseHeaders


class Readiness:
    """Whether operations are taken: from the end of the start to the beginning of the end.

    It does not depend on the endpoint behind: every process would be taken away from its clients at once, and
    what is kept could not be given.

    Args:
        is_sharing: whether the shared cache is there; None if there is none. Operations are taken without it.
    """

    def __init__(self, is_sharing: Callable[[], bool | None] = lambda: None) -> None:
        self.is_ready = False
        self.is_sharing = is_sharing
        self.is_leaving = False

    def leave(self) -> None:
        """From now on, clients are to go elsewhere; whoever still comes is served."""
        self.is_ready = False
        self.is_leaving = True


def health_router(readiness: Readiness) -> APIRouter:
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        if readiness.is_ready:
            return JSONResponse({"status": "ready"} | _detail(is_sharing=readiness.is_sharing()))
        return JSONResponse({"status": "not ready"}, status_code=503)

    return router


def _detail(*, is_sharing: bool | None) -> dict[str, str]:
    if is_sharing is None:
        return {}
    return {"sharedCache": "available" if is_sharing else "unavailable"}


class GatewayApp(FastAPI):
    """FastAPI for everything but `path`, which is `endpoint`'s; all other responses have the `shield`.

    Once it is leaving, connections end with their next response.
    """

    def __init__(
        self,
        *,
        path: str,
        endpoint: ASGIApp,
        shield: tuple[RawHeader, ...],
        readiness: Readiness,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._path = path
        self._endpoint = endpoint
        self._readiness = readiness
        self._shielded = ResponseHeaders(super().__call__, shield)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._readiness.is_leaving:
            send = _closing(send)
        if scope["type"] == "http" and scope["path"] == self._path:
            await self._endpoint(scope, receive, send)
        else:
            await self._shielded(scope, receive, send)


def _closing(send: Send) -> Send:
    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return send_and_close
