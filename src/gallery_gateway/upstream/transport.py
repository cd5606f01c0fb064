"""The way to the network: httpx's transport interface over aiohttp, which survives cancellation.

httpx's own pool (httpcore 1.0) is poisoned by a cancelled request; aiohttp's is not. httpx-aiohttp (0.2) does
what this module does at twice the CPU time, and reports a reset as a timeout. The transport is driven
without `httpx.AsyncClient`, whose cookie jar, redirects, proxies and netrc have no place between one
caller's token and another's.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx
from yarl import URL

# Large answers come in few pieces.
_READ_BUFFER_BYTES = 1024 * 1024


# A connection that has waited longer than a read may last is not used again: aiohttp (3.14) can leave the
# read's timer running on it, and the next request would fail by that.
_KEEPALIVE_SECONDS = 15.0
_KEEPALIVE_SHARE = 0.5


def make_transport(*, max_connections: int, read_timeout_seconds: float = 20.0) -> httpx.AsyncBaseTransport:
    keepalive_seconds = min(_KEEPALIVE_SECONDS, _KEEPALIVE_SHARE * read_timeout_seconds)
    return _AiohttpTransport(max_connections=max_connections, keepalive_seconds=keepalive_seconds)


class _AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests without a body over one aiohttp session, opened with the first of them."""

    def __init__(self, *, max_connections: int, keepalive_seconds: float) -> None:
        self._max_connections = max_connections
        self._keepalive_seconds = keepalive_seconds
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        session = self._session = self._session or self._open_session()
        seconds = request.extensions["timeout"]
        timeout = aiohttp.ClientTimeout(
            connect=seconds["pool"], sock_connect=seconds["connect"], sock_read=seconds["first_byte"]
        )
        with _translated_errors():
            response = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                allow_redirects=False,
                timeout=timeout,
            )
        # A whole answer that came at once has given its connection back already.
        if response.connection is not None and response.connection.protocol is not None:
            response.connection.protocol.read_timeout = seconds["read"]
            response.connection.protocol.start_timeout()
        return httpx.Response(
            response.status, headers=response.raw_headers, stream=_Stream(response), request=request
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections,
                keepalive_timeout=self._keepalive_seconds,
                ssl=httpx.create_ssl_context(trust_env=False),
            ),
            # A shared cookie would carry something of one caller into the requests of another.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
        )
        # Aiohttp (3.14) makes a call again by itself that was cut off, beyond any budget, and has no other
        # way of being told not to; its own tests do the same.
        session._retry_connection = False  # noqa: SLF001
        return session


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated_errors():
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # What was read to its end leaves the connection to the next request, anything else closes it.
        self._response.release()


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Aiohttp's errors as httpx's, the narrowest first."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as exc:
        raise httpx.ConnectTimeout(str(exc)) from exc
    except TimeoutError as exc:
        raise httpx.ReadTimeout(str(exc)) from exc
    except aiohttp.ClientConnectorError as exc:
        raise httpx.ConnectError(str(exc)) from exc
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as exc:
        raise httpx.ReadError(str(exc)) from exc
    except aiohttp.ClientError as exc:
        raise httpx.RemoteProtocolError(str(exc)) from exc
