"""Upstream calls over a transport of httpx instead of the pool, for tests and for apps with their own."""

from collections.abc import Sequence

import httpx

from gallery_gateway.upstream.transport import RawHeader, RawResponse, Timeouts


class HTTPXTransport:
    """Sends GET requests over `transport`, whose requests get the extensions `timeout` and `caller_key`.

    Args:
        base_url: its scheme, host and port are used for all requests.
        max_bytes: of a body; a larger one is not read to its end.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, base_url: str, *, max_bytes: int) -> None:
        self._transport = transport
        self._base_url = httpx.URL(base_url)
        self._max_bytes = max_bytes

    async def get(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        """Raises: httpx.TransportError: there was no response."""
        request = httpx.Request(
            "GET",
            self._base_url.copy_with(raw_path=target),
            headers=list(headers),
            extensions={"timeout": timeouts, "caller_key": caller_key},
        )
        response = await self._transport.handle_async_request(request)
        lower = [(name.lower(), value) for name, value in response.headers.raw]
        raw = RawResponse(response.status_code, lower)
        try:
            assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101  # for mypy
            async for part in response.stream:
                raw.add(part)
                if raw.body_bytes > self._max_bytes:
                    break
        except httpx.TransportError as exc:
            raw.error = exc
        finally:
            await response.aclose()
        return raw

    async def aclose(self) -> None:
        await self._transport.aclose()
