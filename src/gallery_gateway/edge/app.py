"""The FastAPI app: it passes operations on before any routing, and serves health checks.

Operations skip FastAPI's middleware and routing, which take longer than to send a cached response, unless the
app has middleware of the process that embeds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.edge.policy import WRONG_HOST, Policy
from gallery_gateway.edge.responses import RawHeader, with_headers

IS_HEAD = "gallery_gateway.is_head"
"""The key, in the scope of a GET, that says that it is answered to a HEAD."""

_NOT_RUNNING = (
    "The gallery gateway is not running. A mounted app gets no lifespan: create the outer app with"
    " `lifespan=gateway.router.lifespan_context`, or enter that in the lifespan of the outer app."
)


@dataclass(slots=True)
class Readiness:
    """Whether the app runs, and whether a load balancer should send requests here: until SIGTERM.

    It does not depend on the REST API: if that failed, all processes would be taken out of service at once,
    together with the cached pages that they could still serve.

    Args:
        is_sharing: whether the shared cache is available; None if there is none. Readiness does not depend
            on it.
    """

    is_sharing: Callable[[], bool | None] = lambda: None
    is_running: bool = False
    is_leaving: bool = False

    @property
    def is_ready(self) -> bool:
        return self.is_running and not self.is_leaving

    def leave(self) -> None:
        """Send clients elsewhere from now on; requests that still come are served."""
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

    Paths are relative to the `root_path` of ASGI, which a server or a mount adds to each. The policy's hosts
    hold for all paths but the probes, which orchestrators send to an address. Once the process leaves, each
    response closes its connection.
    """

    def __init__(
        self,
        *,
        path: str,
        endpoint: ASGIApp,
        policy: Policy,
        security_headers: tuple[RawHeader, ...],
        readiness: Readiness,
        path_prefix: str = "",
        **options: Any,
    ) -> None:
        # The redirects of Starlette would repeat the Host header.
        super().__init__(redirect_slashes=False, **options)
        self._path = path
        self._path_prefix = path_prefix
        self._endpoint = endpoint
        self._policy = policy
        self._security_headers = security_headers
        self._readiness = readiness
        self.add_exception_handler(404, self._say_where_the_endpoint_is)
        # For apps with middleware, which runs within the routing of FastAPI.
        self.router.routes.append(Route(path, endpoint))

    async def _say_where_the_endpoint_is(self, request: Request, _error: Exception) -> JSONResponse:
        path = f"{request.scope.get('root_path', '')}{self._path}"
        return JSONResponse({"detail": f"Nothing is here; the GraphQL endpoint is {path}."}, status_code=404)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._path_prefix:
                scope = {**scope, "root_path": self._path_prefix}
            if _route_path(scope) == f"{self._path}/":
                scope = {**scope, "path": scope["path"][:-1]}
            if scope["method"] == "HEAD":
                # Servers leave out the body (RFC 9110, section 9.3.2).
                scope = {**scope, "method": "GET", IS_HEAD: True}
        if self._readiness.is_leaving:
            send = _add_headers(send, ((b"connection", b"close"),))
        is_operation = scope["type"] == "http" and _route_path(scope) == self._path
        if is_operation and not self._readiness.is_running:
            raise RuntimeError(_NOT_RUNNING)
        if is_operation and not self.user_middleware:
            await self._endpoint(scope, receive, send)
        else:
            await self._router_for(scope)(scope, receive, _add_headers(send, self._security_headers))

    def _router_for(self, scope: Scope) -> ASGIApp:
        is_open = scope["type"] != "http" or _route_path(scope) in {"/livez", "/readyz", self._path}
        if is_open or self._policy.serves_host(scope["headers"]):
            return super().__call__
        return JSONResponse({"detail": WRONG_HOST}, status_code=421)


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
