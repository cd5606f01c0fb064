"""The client of `GET /gallery/by-project`: one request, one page or one error of the gateway."""

from urllib.parse import urlencode

import httpx
from cachetools import LRUCache

from gallery_gateway.errors import BadUserInputError, UpstreamContractError, UpstreamTimeoutError
from gallery_gateway.telemetry.telemetry import Telemetry
from gallery_gateway.upstream.call import Calls, FetchedPage, NotModified, Timeouts
from gallery_gateway.upstream.parsing import Reader, parse_page
from gallery_gateway.upstream.resilience.deadline import Deadline
from gallery_gateway.upstream.resilience.resilience import Resilience

__all__ = ["FetchedPage", "GalleryClient", "NotModified", "Parameters", "Timeouts"]

Parameters = tuple[tuple[str, str], ...]
"""The query parameters in their order, names and values as they are before encoding."""

_MAX_URLS = 256

_NO_BODY = httpx.ByteStream(b"")


class GalleryClient:
    """Fetches pages over one shared transport, which it owns.

    Args:
        base_url: of the REST API, without `/gallery/by-project`.
        max_bytes: the largest body that is read, compressed or inflated.
        user_agent: sent with every request.
        accept_encoding: sent with every request; whatever comes back is read.
        resilience: what stands around each call; None = it is made once, and at once.
        telemetry: told of each call; None if nobody wants to know.
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
        resilience: Resilience | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._url = base_url.rstrip("/") + "/gallery/by-project"
        self._transport = transport
        self._calls = Calls(transport=transport, timeouts=timeouts, max_bytes=max_bytes, telemetry=telemetry)
        self._resilience = resilience
        self._headers = [
            (b"host", httpx.URL(base_url).netloc),
            (b"accept", b"application/json"),
            (b"accept-encoding", accept_encoding.encode("ascii")),
            (b"user-agent", user_agent.encode("ascii")),
        ]
        self._extensions = timeouts.extensions
        # Callers ask the same few questions, and a URL costs more to parse than an answer.
        self._urls: LRUCache[tuple[tuple[str, str], ...], httpx.URL] = LRUCache(_MAX_URLS)

    async def fetch_page(
        self,
        parameters: Parameters,
        *,
        authorization: str,
        caller_key: bytes | None = None,
        deadline: Deadline | None = None,
        read: Reader = parse_page,
    ) -> FetchedPage:
        """Asks for one page; `authorization` is the value of the one Authorization header sent.

        A 429 is kept for `caller_key` (None = for nobody); `deadline` is that of all attempts together.

        Raises:
            GatewayError: of the kind that says what went wrong.
        """
        headers = ((b"authorization", authorization.encode()),)
        answer = await self._ask(parameters, headers, caller_key, deadline, read)
        if isinstance(answer, NotModified):
            raise UpstreamContractError(
                "The gallery answered 304 to an unconditional request.", reason="status"
            )
        return answer

    async def revalidate_page(
        self,
        parameters: Parameters,
        *,
        authorization: str,
        etag: str,
        caller_key: bytes | None = None,
        deadline: Deadline | None = None,
        read: Reader = parse_page,
    ) -> FetchedPage | NotModified:
        """Asks for one page unless it still is the one that `etag` came with; else as `fetch_page`."""
        headers = (b"authorization", authorization.encode()), (b"if-none-match", etag.encode())
        return await self._ask(parameters, headers, caller_key, deadline, read)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _ask(
        self,
        parameters: Parameters,
        headers: tuple[tuple[bytes, bytes], ...],
        caller_key: bytes | None,
        deadline: Deadline | None,
        read: Reader,
    ) -> FetchedPage | NotModified:
        request = httpx.Request(
            "GET",
            self._url_of(parameters),
            headers=[*self._headers, *headers],
            # Given, so that httpx does not make one each time, at the cost of half a request.
            stream=_NO_BODY,
            extensions={**self._extensions, "caller_key": caller_key},
        )
        if deadline is None:
            return await self._run(request, caller_key, None, read)
        try:
            async with deadline:
                return await self._run(request, caller_key, deadline, read)
        except TimeoutError as exc:
            raise UpstreamTimeoutError("The gallery took too long to answer.", reason="given_up") from exc

    async def _run(
        self, request: httpx.Request, caller_key: bytes | None, deadline: Deadline | None, read: Reader
    ) -> FetchedPage | NotModified:
        if self._resilience is None:
            return await self._calls.make(request, read)
        return await self._resilience.run(
            lambda: self._calls.make(request, read),
            caller_key=caller_key,
            question=request.url.raw_path,
            deadline=deadline,
        )

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
