"""The front of the app: the endpoint is reached before any routing, which costs more than a cached answer."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send


class Front(FastAPI):
    """FastAPI for everything but `path`, which is `endpoint`'s."""

    def __init__(self, *, path: str, endpoint: ASGIApp, **options: Any) -> None:
        super().__init__(**options)
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._path:
            await self._endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
