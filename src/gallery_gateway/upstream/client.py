"""The client of `GET /gallery/by-project`: one request, one page or one error of the gateway."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
from cachetools import LRUCache

from gallery_gateway.errors import (
    BadUserInputError,
    GatewayError,
    UpstreamContractError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.body import read_body
from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules, parse_caching_rules
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.links import earliest_link_expiry
from gallery_gateway.upstream.parsing import parse_page
from gallery_gateway.upstream.refusals import refusal

Parameters = tuple[tuple[str, str], ...]
"""The query parameters in their order, names and values as they are before encoding."""

_MAX_URLS = 256

# An error's body is read to learn the refused parameter, and to keep the connection.
_MAX_ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """All in seconds: to connect, of silence while reading, and for the call as a whole."""

    connect: float
    read: float
    total: float


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page, and what is to be known for keeping it.

    Args:
        body: the JSON that it was parsed from.
        rules: what its headers say.
        links_expire_at: seconds since 1970, of the first of its links; None if none says so.
    """

    page: Page
    body: bytes
    rules: CachingRules = NOTHING_SAID
    links_expire_at: float | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page that the ETag stands for is still the right one (304)."""

    rules: CachingRules


class GalleryClient:
    """Fetches pages over one shared transport, which it owns.

    Args:
        base_url: of the REST API, without `/gallery/by-project`.
        max_bytes: the largest body that is read, compressed or inflated.
        user_agent: sent with every request.
        accept_encoding: sent with every request; whatever comes back is read.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        timeouts: Timeouts,
        max_bytes: int,
        user_agent: str,
        accept_encoding: str = "identity",
    ) -> None:
        self._url = base_url.rstrip("/") + "/gallery/by-project"
        self._transport = transport
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._headers = [
            (b"accept", b"application/json"),
            (b"accept-encoding", accept_encoding.encode("ascii")),
            (b"user-agent", user_agent.encode("ascii")),
        ]
        self._extensions = {
            "timeout": {
                "connect": timeouts.connect,
                "read": timeouts.read,
                "write": timeouts.read,
                "pool": timeouts.total,
            }
        }
        # Callers ask the same few questions, and a URL costs more to parse than an answer.
        self._urls: LRUCache[tuple[tuple[str, str], ...], httpx.URL] = LRUCache(_MAX_URLS)

    async def fetch_page(self, parameters: Parameters, *, authorization: str) -> FetchedPage:
        """Asks for one page; `authorization` is the value of the one Authorization header sent.

        Raises:
            GatewayError: of the kind that says what went wrong.
        """
        answer = await self._ask(parameters, (b"authorization", authorization.encode()))
        if isinstance(answer, NotModified):
            raise UpstreamContractError("The gallery answered a question that was not asked.")
        return answer

    async def revalidate_page(
        self, parameters: Parameters, *, authorization: str, etag: str
    ) -> FetchedPage | NotModified:
        """Asks for one page unless it still is the one that `etag` came with; else as `fetch_page`."""
        headers = (b"authorization", authorization.encode()), (b"if-none-match", etag.encode())
        return await self._ask(parameters, *headers)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _ask(self, parameters: Parameters, *headers: tuple[bytes, bytes]) -> FetchedPage | NotModified:
        request = httpx.Request(
            "GET",
            self._url_of(parameters),
            headers=[*self._headers, *headers],
            extensions=self._extensions,
        )
        try:
            async with asyncio.timeout(self._timeouts.total):
                return await self._send(request)
        except (httpx.TimeoutException, TimeoutError) as exc:
            raise UpstreamTimeoutError("The gallery took too long to answer.") from exc
        except httpx.TransportError as exc:
            raise UpstreamUnavailableError("The gallery could not be reached.") from exc

    def _url_of(self, parameters: Parameters) -> httpx.URL:
        url = self._urls.get(parameters)
        if url is None:
            url = self._parse_url(parameters)
            self._urls[parameters] = url
        return url

    def _parse_url(self, parameters: Parameters) -> httpx.URL:
        try:
            return httpx.URL(f"{self._url}?{urlencode(parameters)}")
        # Longer than httpx takes (64 KiB), which many long arguments are once they are percent-encoded.
        except httpx.InvalidURL as exc:
            raise BadUserInputError("The arguments are too long to be asked for.") from exc

    async def _send(self, request: httpx.Request) -> FetchedPage | NotModified:
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code == 200:
                body = await read_body(response, max_bytes=self._max_bytes)
                page = parse_page(body)
                rules = parse_caching_rules(response.headers)
                return FetchedPage(page, body, rules, earliest_link_expiry(page, body))
            if response.status_code == 304:
                return NotModified(parse_caching_rules(response.headers))
            raise refusal(response, await _read_error_body(response))
        finally:
            await response.aclose()


async def _read_error_body(response: httpx.Response) -> bytes:
    try:
        return await read_body(response, max_bytes=_MAX_ERROR_BYTES)
    except (GatewayError, httpx.TransportError):
        return b""
