"""The front of the app: the endpoint is reached before any routing, which costs more than a cached answer."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.edge.headers import RawHeader
from gallery_gateway.edge.shield import Shielded


class Front(FastAPI):
    """FastAPI for everything but `path`, which is `endpoint`'s; all other responses have the `shield`."""

    def __init__(
        self, *, path: str, endpoint: ASGIApp, shield: tuple[RawHeader, ...], **options: Any
    ) -> None:
        super().__init__(**options)
        self._path = path
        self._endpoint = endpoint
        self._shielded = Shielded(super().__call__, shield)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._path:
            await self._endpoint(scope, receive, send)
        else:
            await self._shielded(scope, receive, send)
