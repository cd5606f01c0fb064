"""The front of the app: the endpoint is reached before any routing, which costs more than a cached answer."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.edge.headers import RawHeader
from gallery_gateway.edge.health import Readiness
from gallery_gateway.edge.shield import Shielded


class Front(FastAPI):
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
        self._shielded = Shielded(super().__call__, shield)

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
