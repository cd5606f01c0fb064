"""The client of `GET /gallery/by-project`: one request becomes one page or one error of the gateway."""

import asyncio
import math
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast
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
from gallery_gateway.telemetry.records import Link
from gallery_gateway.telemetry.telemetry import Call, Telemetry
from gallery_gateway.upstream.breaker import CallResult
from gallery_gateway.upstream.caching import CachingRules, parse_caching_rules
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.refusals import status_error, transport_error
from gallery_gateway.upstream.resilience import Deadline, Resilience
from gallery_gateway.upstream.transport import Timeouts


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page of the REST API.

    Args:
        body: JSON of the page.
        rules: what the response headers say about caching.
        call: link of the call, if it was traced.
    """

    page: Page
    body: bytes
    rules: CachingRules
    call: Link | None


@dataclass(frozen=True, slots=True)
class NotModified:
    """A 304: the page of the given ETag is still current."""

    rules: CachingRules
    call: Link | None


Parameters = tuple[tuple[str, str], ...]
"""The query parameters in their order, before encoding."""

_MAX_URLS = 256

_NO_BODY = httpx.ByteStream(b"")

# The body of an error is read for the rejected parameter, and so that the connection can be used again.
_MAX_ERROR_BYTES = 64 * 1024


class GalleryClient:
    """Fetches pages over one shared transport, which it owns.

    Args:
        base_url: of the REST API, without `/gallery/by-project`.
        max_bytes: size of the largest body that is read, compressed or inflated.
        user_agent: sent with every request.
        accept_encoding: sent with every request; any known coding is accepted in responses.
        telemetry: records every call.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        timeouts: Timeouts,
        max_bytes: int,
        user_agent: str,
        resilience: Resilience,
        accept_encoding: str = "identity",
        telemetry: Telemetry | None = None,
    ) -> None:
        self._url = base_url.rstrip("/") + "/gallery/by-project"
        self._transport = transport
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._resilience = resilience
        self._telemetry = telemetry or Telemetry(())
        self._headers = [
            (b"host", httpx.URL(base_url).netloc),
            (b"accept", b"application/json"),
            (b"accept-encoding", accept_encoding.encode("ascii")),
            (b"user-agent", user_agent.encode("ascii")),
        ]
        # Callers send the same few queries, and parsing a URL costs more than parsing a response.
        self._urls: LRUCache[Parameters, httpx.URL] = LRUCache(_MAX_URLS)

    async def fetch_page(
        self,
        parameters: Parameters,
        *,
        authorization: str,
        caller_key: bytes,
        etag: str | None = None,
        deadline: Deadline | None = None,
        decode: PageDecoder = parse_page,
    ) -> FetchedPage | NotModified:
        """Fetch a page, unless it is still the one with this `etag`.

        Args:
            parameters: of the query.
            authorization: value of the one Authorization header that is sent.
            caller_key: for whom rate limits, breakers and places are counted.
            etag: of the known page; `None` if there is none.
            deadline: of all attempts together.
            decode: makes the page from its JSON.

        Raises:
            GatewayError: the call failed, or `deadline` passed.
        """
        headers = [*self._headers, (b"authorization", authorization.encode())]
        if etag is not None:
            headers.append((b"if-none-match", etag.encode()))
        request = httpx.Request(
            "GET",
            self._url_of(parameters),
            headers=headers,
            # httpx would make a stream for each request, at half the cost of the request.
            stream=_NO_BODY,
            extensions={"timeout": self._timeouts, "caller_key": caller_key},
        )
        deadline = deadline or Deadline(math.inf)
        try:
            async with asyncio.timeout_at(deadline.at) as deadline.timeout:
                return await self._attempts(request, caller_key, decode, deadline)
        except TimeoutError as exc:
            raise UpstreamTimeoutError(kind="given_up") from exc
        finally:
            deadline.timeout = None

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _attempts(
        self, request: httpx.Request, caller_key: bytes, decode: PageDecoder, deadline: Deadline
    ) -> FetchedPage | NotModified:
        """Make attempts until one succeeds or its error is not retried."""
        attempt = 1
        while True:
            try:
                return await self._attempt(request, caller_key, decode, attempt)
            except GatewayError as exc:
                is_retried = await self._resilience.retries.wait(
                    exc, attempt=attempt, caller_key=caller_key, remaining_seconds=deadline.remaining_seconds
                )
                if not is_retried:
                    raise
            attempt += 1

    async def _attempt(
        self, request: httpx.Request, caller_key: bytes, decode: PageDecoder, attempt: int
    ) -> FetchedPage | NotModified:
        ticket = await self._resilience.admit(caller_key, request.url.raw_path, attempt=attempt)
        try:
            call = self._telemetry.call_began(attempt=attempt)
            call.record.reason = ERRORS["given_up"].reason
            if call.headers:
                request.headers.update(call.headers)
            try:
                page = await self._send(request, decode, call)
            except GatewayError as exc:
                _record_failure(call, exc.consequences)
                self._resilience.record_failure(ticket, exc)
                raise
            except Exception:
                _record_failure(call, ERRORS["bug"])
                raise
            else:
                ticket.result = CallResult.FINE
                return page
            finally:
                self._telemetry.call_ended(call)
        finally:
            self._resilience.release(ticket)

    async def _send(
        self, request: httpx.Request, decode: PageDecoder, call: Call
    ) -> FetchedPage | NotModified:
        record = call.record
        try:
            response = await self._transport.handle_async_request(request)
            record.status = response.status_code
            try:
                if response.status_code == 200:
                    body = await read_body(response, max_bytes=self._max_bytes)
                    page = decode(body)
                    record.outcome, record.reason, record.bytes = "ok", None, len(body)
                    return FetchedPage(page, body, parse_caching_rules(response.headers), call.link)
                if response.status_code == 304 and "if-none-match" in request.headers:
                    record.outcome, record.reason = "unchanged", None
                    return NotModified(parse_caching_rules(response.headers), call.link)
                raise status_error(response, await _read_error_body(response))
            finally:
                await response.aclose()
        except httpx.TransportError as exc:
            raise transport_error(exc) from exc

    def _url_of(self, parameters: Parameters) -> httpx.URL:
        url = self._urls.get(parameters)
        if url is None:
            try:
                url = self._urls[parameters] = httpx.URL(f"{self._url}?{urlencode(parameters)}")
            # httpx takes up to 64 KiB, and percent-encoding makes arguments longer.
            except httpx.InvalidURL as exc:
                raise BadUserInputError("The arguments are too long; shorten them.") from exc
        return url


def _record_failure(call: Call, consequences: Consequences) -> None:
    call.record.outcome, call.record.reason = consequences.code, consequences.reason
    call.log_level = consequences.log_level


async def _read_error_body(response: httpx.Response) -> bytes:
    try:
        return await read_body(response, max_bytes=_MAX_ERROR_BYTES)
    except (GatewayError, httpx.TransportError):
        return b""


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """Return the body, inflated.

    Raises:
        UpstreamContractError: the body has more than `max_bytes`, or an unknown or broken content coding.
    """
    # The stream itself: `httpx.Response` reads some streams by itself, without a limit.
    stream = cast("httpx.AsyncByteStream", response.stream)
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding in {"gzip", "x-gzip", "deflate"}:
        chunks = _inflated(stream, max_bytes=max_bytes)
    elif encoding in {"identity", ""}:
        chunks = aiter(stream)
    else:
        raise UpstreamContractError(
            "The gallery API's response has a compression that was not requested.", kind="encoding"
        )
    parts = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


_STEP_BYTES = 256 * 1024

# JSON pages inflate up to thirtyfold. More than this is not a page.
_MAX_RATIO = 100
_FREE_BYTES = 1024 * 1024

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib detects which of the two it is


async def _inflated(chunks: httpx.AsyncByteStream, *, max_bytes: int) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    received_bytes = inflated_bytes = 0
    try:
        async for chunk in chunks:
            received_bytes += len(chunk)
            if received_bytes > max_bytes:
                raise _too_large(max_bytes)
            rest = chunk
            while rest:
                # In steps, so that a bomb is found before it has inflated, and the loop runs in between.
                part = inflater.decompress(rest, _STEP_BYTES)
                rest = inflater.unconsumed_tail
                inflated_bytes += len(part)
                if inflated_bytes > _FREE_BYTES + _MAX_RATIO * received_bytes:
                    raise UpstreamContractError(
                        "The gallery API's compressed response inflates too much.", kind="encoding"
                    )
                yield part
                if rest:
                    await asyncio.sleep(0)
        yield inflater.flush()
    except zlib.error as exc:
        raise UpstreamContractError("The gallery API's compression is broken.", kind="encoding") from exc
    if not inflater.eof:
        raise UpstreamContractError("The gallery API's compression is cut short.", kind="encoding")


def _too_large(max_bytes: int) -> UpstreamContractError:
    return UpstreamContractError(
        f"The gallery API's response is larger than {max_bytes} bytes; request fewer projects or images.",
        kind="body_too_large",
    )
