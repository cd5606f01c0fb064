"""The way to the network, behind httpx's transport interface.

Why it is a client of our own: `docs/decisions/http-client.md`. The transport is driven without
`httpx.AsyncClient`, whose cookie jar, redirects, proxies and netrc have no place between one caller's token
and another's.
"""

import re
from collections.abc import AsyncIterator

import httpx

from gallery_gateway.upstream.answer import Answer
from gallery_gateway.upstream.pool import Pool

# What would end a header, or the head (RFC 9110, section 5.5).
_DANGEROUS = re.compile(rb"[\r\n\0]")


def make_transport(base_url: str, *, max_connections: int, max_bytes: int) -> httpx.AsyncBaseTransport:
    """For GET requests to one endpoint.

    Args:
        base_url: where the requests go, whatever their own URLs say.
        max_connections: at a time; other requests wait for their turn.
        max_bytes: the largest body that is read.
    """
    return _Transport(Pool(httpx.URL(base_url), max_connections=max_connections, max_bytes=max_bytes))


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.ask(
            _head(request), request.extensions["timeout"], caller_key=request.extensions.get("caller_key")
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Stream(answer), request=request)

    async def aclose(self) -> None:
        self._pool.close()


class _Stream(httpx.AsyncByteStream):
    """The body as it came, and then why it broke off, if it did."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._answer.parts:
            yield bytes(part)
        if self._answer.error is not None:
            raise self._answer.error


def _head(request: httpx.Request) -> bytes:
    """Raises: httpx.LocalProtocolError: a header would be more than one."""
    fields = [b"%b: %b" % header for header in request.headers.raw]
    if any(map(_DANGEROUS.search, fields)):
        raise httpx.LocalProtocolError("a header has a control character in it")
    return b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (request.url.raw_path, b"\r\n".join(fields))
