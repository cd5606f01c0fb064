"""The client of `GET /gallery/by-project`: one request, one page or one error of the gateway."""

import math
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import httpx
from cachetools import LRUCache

from gallery_gateway.errors import (
    ERRORS,
    BadUserInputError,
    Consequences,
    GatewayError,
    UpstreamContractError,
    UpstreamTimeoutError,
)
from gallery_gateway.telemetry.records import CallRecord, Link
from gallery_gateway.telemetry.telemetry import Call, Telemetry
from gallery_gateway.upstream.body import read_body
from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules, parse_caching_rules
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.refusals import status_error, transport_error
from gallery_gateway.upstream.resilience import Deadline, Resilience

# An error's body is read to learn the refused parameter, and to keep the connection.
_MAX_ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """All in seconds.

    Args:
        connect: to open a connection.
        first_byte: of silence before the answer; no longer than `read`.
        read: of silence within the answer.
        total: for one call as a whole.
    """

    connect: float
    read: float
    total: float
    first_byte: float = math.inf

    @property
    def extensions(self) -> dict[str, object]:
        """As a request carries them to the transport."""
        return {
            "timeout": {
                "connect": self.connect,
                "first_byte": min(self.first_byte, self.read),
                "read": self.read,
                "write": self.read,
                "pool": self.total,
                "total": self.total,
            }
        }


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page, and what is to be known for keeping it.

    Args:
        body: the JSON that it was parsed from.
        rules: what its headers say.
        call: the link of the call that brought it, if it was traced.
    """

    page: Page
    body: bytes
    rules: CachingRules = NOTHING_SAID
    call: Link | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page that the ETag stands for is still the right one (304)."""

    rules: CachingRules
    call: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Makes calls, each of them once and at once.

    Args:
        max_bytes: the largest body that is read.
        telemetry: told of each call; None if nobody wants to know.
    """

    transport: httpx.AsyncBaseTransport
    timeouts: Timeouts
    max_bytes: int
    telemetry: Telemetry | None = None

    async def make(self, request: httpx.Request, read: PageDecoder) -> FetchedPage | NotModified:
        """Raises: GatewayError: of the kind that says what went wrong."""
        if self.telemetry is None:
            return await self._make(request, read, CallRecord(outcome="cancelled"))
        # A request that is sent again is the same one.
        attempt = request.extensions["attempt"] = request.extensions.get("attempt", 0) + 1
        call = self.telemetry.call_began(attempt=attempt)
        call.record.reason = "given_up"
        if call.headers:
            request.headers.update(call.headers)
        try:
            answer = await self._make(request, read, call.record)
        except GatewayError as exc:
            _record_failure(call, exc.consequences)
            raise
        except Exception:
            _record_failure(call, ERRORS["bug"])
            raise
        finally:
            self.telemetry.call_ended(call)
        return answer if call.link is None else replace(answer, call=call.link)

    async def _make(
        self, request: httpx.Request, read: PageDecoder, record: CallRecord
    ) -> FetchedPage | NotModified:
        try:
            return await self._send(request, read, record)
        except httpx.TransportError as exc:
            raise transport_error(exc) from exc

    async def _send(
        self, request: httpx.Request, read: PageDecoder, record: CallRecord
    ) -> FetchedPage | NotModified:
        response = await self.transport.handle_async_request(request)
        record.status = response.status_code
        try:
            if response.status_code == 200:
                body = await read_body(response, max_bytes=self.max_bytes)
                page = read(body)
                rules = parse_caching_rules(response.headers)
                record.outcome, record.reason, record.bytes = "ok", None, len(body)
                return FetchedPage(page, body, rules)
            if response.status_code == 304 and "if-none-match" in request.headers:
                record.outcome, record.reason = "unchanged", None
                return NotModified(parse_caching_rules(response.headers))
            raise status_error(response, await _read_error_body(response))
        finally:
            await response.aclose()


def _record_failure(call: Call, consequences: Consequences) -> None:
    call.record.outcome, call.record.reason = consequences.code, consequences.reason
    call.log_level = consequences.log_level


async def _read_error_body(response: httpx.Response) -> bytes:
    try:
        return await read_body(response, max_bytes=_MAX_ERROR_BYTES)
    except (GatewayError, httpx.TransportError):
        return b""


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
        read: PageDecoder = parse_page,
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
                "The gallery answered 304 to an unconditional request.", kind="status_other"
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
        read: PageDecoder = parse_page,
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
        read: PageDecoder,
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
            raise UpstreamTimeoutError("The gallery took too long to answer.", kind="given_up") from exc

    async def _run(
        self, request: httpx.Request, caller_key: bytes | None, deadline: Deadline | None, read: PageDecoder
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
