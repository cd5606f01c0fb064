"""The way to the network: httpx's transport interface over aiohttp, which survives cancellation.

httpx's own pool (httpcore 1.0) is poisoned by a cancelled request; aiohttp's is not, and costs less. The
transport is driven without `httpx.AsyncClient`, whose cookie jar, redirects, proxies and netrc have no
place between one caller's token and another's.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import cast

import aiohttp
import httpx
import httpx_aiohttp


def make_transport(*, max_connections: int) -> httpx.AsyncBaseTransport:
    return _AiohttpTransport(trust_env=False, client=lambda: _open_session(max_connections=max_connections))


def _open_session(*, max_connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=60),
        # A shared cookie would carry something of one caller into the requests of another.
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )


class _AiohttpTransport(httpx_aiohttp.AiohttpTransport):
    """httpx-aiohttp, with errors told apart that it (0.2) confuses or lets through."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _errors_told_apart():
            try:
                response = await super().handle_async_request(request)
            # httpx-aiohttp encodes the reason phrase as UTF-8, which it need not be (RFC 9112, section 4).
            except UnicodeError as exc:
                raise httpx.RemoteProtocolError(str(exc)) from exc
        response.stream = _Stream(cast("httpx.AsyncByteStream", response.stream))
        return response


class _Stream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_told_apart():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _errors_told_apart() -> Iterator[None]:
    try:
        yield
    except httpx.ConnectTimeout as exc:
        # What a reset or a closed connection is reported as, too.
        if isinstance(exc.__cause__, TimeoutError):
            raise
        raise httpx.NetworkError(str(exc)) from exc
    except aiohttp.ClientError as exc:
        raise httpx.RemoteProtocolError(str(exc)) from exc
