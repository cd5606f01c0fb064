"""The FastAPI app: it passes operations on before any routing, and serves health checks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.edge.responses import RawHeader, with_headers


@dataclass(slots=True)
class Readiness:
    """Whether a load balancer should send requests here: from the end of start-up until SIGTERM.

    It does not depend on the REST API: if that failed, all processes would be taken out of service at once,
    together with the cached pages that they could still serve.

    Args:
        is_sharing: whether the shared cache is available; None if there is none. Readiness does not depend
            on it.
    """

    is_sharing: Callable[[], bool | None] = lambda: None
    is_ready: bool = False
    is_leaving: bool = False

    def leave(self) -> None:
        """Send clients elsewhere from now on; requests that still come are served."""
        self.is_ready = False
        self.is_leaving = True


def health_router(readiness: Readiness) -> APIRouter:
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        if not readiness.is_ready:
            return JSONResponse({"status": "not ready"}, status_code=503)
        is_sharing = readiness.is_sharing()
        if is_sharing is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "ready", "sharedCache": "available" if is_sharing else "unavailable"})

    return router


class GatewayApp(FastAPI):
    """FastAPI for every path but that of the endpoint; its responses get security headers.

    Once the process leaves, each response closes its connection.
    """

    def __init__(
        self,
        *,
        path: str,
        endpoint: ASGIApp,
        security_headers: tuple[RawHeader, ...],
        readiness: Readiness,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._path = path
        self._endpoint = endpoint
        self._security_headers = security_headers
        self._readiness = readiness
        self.add_exception_handler(404, self._say_where_the_endpoint_is)

    async def _say_where_the_endpoint_is(self, request: Request, _error: Exception) -> JSONResponse:
        path = f"{request.scope.get('root_path', '')}{self._path}"
        return JSONResponse({"detail": f"Nothing is here; the GraphQL endpoint is {path}."}, status_code=404)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self.root_path:
                scope = {**scope, "root_path": self.root_path}
            if _route_path(scope) == f"{self._path}/":
                scope = {**scope, "path": scope["path"][:-1]}
            if scope["method"] == "HEAD":
                # Servers leave out the body (RFC 9110, section 9.3.2).
                scope = {**scope, "method": "GET"}
        if self._readiness.is_leaving:
            send = _add_headers(send, ((b"connection", b"close"),))
        if scope["type"] == "http" and _route_path(scope) == self._path:
            await self._endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, _add_headers(send, self._security_headers))


def _route_path(scope: Scope) -> str:
    """Return the path below the prefix of a mount, or of a proxy that the server knows about."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _add_headers(send: Send, added: tuple[RawHeader, ...]) -> Send:
    """Return a `send` that adds headers to the response unless it has others of these names."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = with_headers(message.get("headers", ()), added)
        await send(message)

    return send_with_headers
