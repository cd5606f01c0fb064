"""The way to the endpoint past the routing of everything else, which costs more than a cached answer."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """ASGI middleware: what asks for `path` is handed to `endpoint`, the rest to the app."""

    def __init__(self, app: ASGIApp, *, path: str, endpoint: ASGIApp) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._path:
            await self._endpoint(scope, receive, send)
        else:
            await self._app(scope, receive, send)
