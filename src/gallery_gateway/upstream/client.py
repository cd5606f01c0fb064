"""The client of `GET /gallery/by-project`: one request becomes one page or one error of the gateway."""

import asyncio
import math
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypedDict

import httpx
from msgspec import Struct

from gallery_gateway.errors import (
    ERRORS,
    BadUserInputError,
    Consequences,
    GatewayError,
    UpstreamContractError,
)
from gallery_gateway.telemetry.records import Link
from gallery_gateway.telemetry.telemetry import Call, Telemetry
from gallery_gateway.upstream.breaker import CallResult
from gallery_gateway.upstream.caching import CACHING_HEADERS, CachingRules, parse_caching_rules
from gallery_gateway.upstream.contract import PATH, Page
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.drift import PAGES_PER_SAMPLE, DriftSampler
from gallery_gateway.upstream.httpx_transport import HTTPXTransport
from gallery_gateway.upstream.refusals import status_error, transport_error
from gallery_gateway.upstream.resilience import Deadline, Resilience
from gallery_gateway.upstream.transport import RawHeader, RawResponse, Timeouts


class FetchedPage(Struct, frozen=True):
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


class NotModified(Struct, frozen=True):
    """A 304: the page of the given ETag is still current."""

    rules: CachingRules
    call: Link | None


# Of the target of a request, as in common servers and proxies.
_MAX_TARGET_BYTES = 64 * 1024


class Transport(Protocol):
    """Sends GET requests to the REST API, of which it knows scheme, host and port."""

    async def get(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        """Raises: httpx.TransportError: there was no response."""

    async def aclose(self) -> None: ...


# The headers that are read unless a call was refused; httpx takes a microsecond for each header.
_PAGE_HEADERS = frozenset({b"content-encoding", b"date", *(name.encode() for name in CACHING_HEADERS)})

AnyTransport = Transport | httpx.AsyncBaseTransport

# The body of an error is read for the rejected parameter, and so that the connection can be used again.
_MAX_ERROR_BYTES = 64 * 1024


class CallOptions(TypedDict):
    """Arguments of `GalleryClient` about every call."""

    base_url: str
    timeouts: Timeouts
    max_bytes: int
    user_agent: str
    accept_encoding: str
    headers: Iterable[tuple[str, str]]


class GalleryClient:
    """Fetches pages over one shared transport, which it owns.

    Args:
        base_url: of the REST API, without `/gallery/by-project`.
        max_bytes: size of the largest body that is read, compressed or inflated.
        user_agent: sent with every request.
        accept_encoding: sent with every request; any known coding is accepted in responses.
        headers: further names and values sent with every request; they may be secret.
        telemetry: records every call.
        large_pages: held while a large body is decoded.
        drift: compares a sample of the pages with the contract; `None` compares none.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: AnyTransport,
        timeouts: Timeouts,
        max_bytes: int,
        user_agent: str,
        resilience: Resilience,
        accept_encoding: str = "identity",
        headers: Iterable[tuple[str, str]] = (),
        telemetry: Telemetry | None = None,
        large_pages: asyncio.Lock | None = None,
        drift: DriftSampler | None = None,
    ) -> None:
        url = httpx.URL(base_url.rstrip("/") + PATH)
        self._path = url.raw_path
        self._transport: Transport = (
            HTTPXTransport(transport, base_url, max_bytes=max_bytes)
            if isinstance(transport, httpx.AsyncBaseTransport)
            else transport
        )
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._resilience = resilience
        self._large_pages = large_pages or asyncio.Lock()
        self._telemetry = telemetry or Telemetry(())
        self._drift = drift
        # The first page is compared.
        self._pages_to_sample = 1
        self._headers = common_headers(
            url, accept_encoding=accept_encoding, user_agent=user_agent, headers=headers
        )

    async def fetch_page(
        self,
        query: str,
        *,
        authorization: str,
        caller_key: bytes,
        etag: str | None = None,
        deadline: Deadline | None = None,
        decode: PageDecoder = parse_page,
    ) -> FetchedPage | NotModified:
        """Fetch a page, unless it is still the one with this `etag`.

        Args:
            query: of the request, encoded; it may be empty.
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
        request = _Request(self._target(query), headers, caller_key, decode)
        deadline = deadline or Deadline(math.inf)
        with deadline:
            return await self._attempts(request, deadline)

    async def aclose(self) -> None:
        if self._drift:
            self._drift.close()
        await self._transport.aclose()

    async def _attempts(self, request: "_Request", deadline: Deadline) -> FetchedPage | NotModified:
        """Make attempts until one succeeds or its error is not retried."""
        attempt = 1
        while True:
            try:
                return await self._attempt(request, attempt)
            except GatewayError as exc:
                is_retried = await self._resilience.retries.wait(
                    exc,
                    attempt=attempt,
                    caller_key=request.caller_key,
                    remaining_seconds=deadline.remaining_seconds,
                )
                if not is_retried:
                    raise
            attempt += 1

    async def _attempt(self, request: "_Request", attempt: int) -> FetchedPage | NotModified:
        ticket = await self._resilience.admit(request.caller_key, request.target, attempt=attempt)
        try:
            call = self._telemetry.call_began(attempt=attempt)
            call.record.reason = ERRORS["given_up"].reason
            try:
                page = await self._send(request, call)
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
                self._telemetry.call_ended(call, request.target)
        finally:
            self._resilience.release(ticket)

    async def _send(self, request: "_Request", call: Call) -> FetchedPage | NotModified:
        added = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        if call.record.request_id is not None:
            added.append((b"x-request-id", call.record.request_id.encode()))
        try:
            response = await self._transport.get(
                request.target, [*request.headers, *added], self._timeouts, caller_key=request.caller_key
            )
            record = call.record
            record.status, record.resent = response.status, response.is_resent
            read = [each for each in response.headers if response.status >= 400 or each[0] in _PAGE_HEADERS]
            headers = httpx.Headers(read)
            if response.status == 200:
                body = await read_body(response, headers, max_bytes=self._max_bytes)
                self._pages_to_sample -= 1
                if self._pages_to_sample <= 0 and self._drift and self._drift.sample(body):
                    self._pages_to_sample = PAGES_PER_SAMPLE
                page = await request.decoder.decode(body, self._large_pages)
                record.outcome, record.reason, record.bytes = "ok", None, len(body)
                return FetchedPage(page, body, parse_caching_rules(headers), call.link)
            if response.status == 304 and request.headers[-1][0] == b"if-none-match":
                record.outcome, record.reason = "unchanged", None
                return NotModified(parse_caching_rules(headers), call.link)
            refused = httpx.Response(response.status, headers=headers)
            raise status_error(refused, await _read_error_body(response, headers))
        except httpx.TransportError as exc:
            call.record.resent |= getattr(exc, "is_resent", False)
            raise transport_error(exc) from exc

    def _target(self, query: str) -> bytes:
        if len(self._path) + len(query) > _MAX_TARGET_BYTES:
            raise BadUserInputError("The arguments are too long; shorten them.")
        return b"%b?%b" % (self._path, query.encode("ascii"))


def common_headers(
    url: httpx.URL, *, accept_encoding: str, user_agent: str, headers: Iterable[tuple[str, str]]
) -> list[RawHeader]:
    """Return the headers of every call; the arguments are those of `GalleryClient`."""
    return [
        (b"host", url.netloc),
        (b"accept", b"application/json"),
        (b"accept-encoding", accept_encoding.encode("ascii")),
        (b"user-agent", user_agent.encode("ascii")),
        *((name.encode("ascii"), value.encode("ascii")) for name, value in headers),
    ]


class _Request(Struct, frozen=True):
    target: bytes
    headers: list[RawHeader]
    caller_key: bytes
    decoder: PageDecoder


def _record_failure(call: Call, consequences: Consequences) -> None:
    call.record.outcome, call.record.reason = consequences.code, consequences.reason
    call.log_level = consequences.log_level


async def _read_error_body(response: RawResponse, headers: httpx.Headers) -> bytes | None:
    """Return the body, or `None` if it cannot be read or is larger than any error of the API."""
    try:
        return await read_body(response, headers, max_bytes=_MAX_ERROR_BYTES)
    except (GatewayError, httpx.TransportError):
        return None


_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate"})


async def read_body(response: RawResponse, headers: Mapping[str, str], *, max_bytes: int) -> bytes:
    """Return the body, inflated and without a byte order mark (RFC 8259, section 8.1).

    Raises:
        UpstreamContractError: the body has more than `max_bytes`, or an unknown or broken content coding.
        httpx.TransportError: the body is incomplete.
    """
    listed = headers.get("content-encoding", "").lower().split(",")
    codings = [coding for item in listed if (coding := item.strip()) not in {"", "identity"}]
    if codings and (len(codings) > 1 or codings[0] not in _COMPRESSIONS):
        raise UpstreamContractError(
            "The gallery API's response has a compression that was not requested.", kind="encoding"
        )
    if response.body_bytes > max_bytes:
        raise _too_large(max_bytes)
    body = b"".join(await _inflated(response, codings[0], max_bytes=max_bytes) if codings else response)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body.removeprefix(BOM_UTF8)


_STEP_BYTES = 256 * 1024

# JSON pages inflate up to thirtyfold. More than this is not a page.
_MAX_RATIO = 100
_FREE_BYTES = 1024 * 1024

# Each takes microseconds, even if it holds nothing.
_MAX_MEMBERS = 4_096

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib detects which of the two it is
_GZIP_MAGIC = 0x1F


class _Inflater:
    """Inflates a body step by step, so that a bomb is found before it has inflated.

    `last` inflates the last member; gzip may have several (RFC 1952, section 2.2).
    """

    def __init__(self, coding: str, *, max_bytes: int) -> None:
        self.last = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._may_be_bare = coding == "deflate"
        self._members = 1
        self._inflated_bytes = 0
        self._max_bytes = max_bytes

    def inflate(self, data: bytes, *, received_bytes: int) -> tuple[bytes, bytes]:
        """Return the next inflated part, and the rest of the data."""
        if self._may_be_bare:
            # Some servers leave out the header of zlib, whose first byte ends in 8.
            if data[0] % 16 != 8 and data[0] != _GZIP_MAGIC:
                self.last = zlib.decompressobj(-zlib.MAX_WBITS)
            self._may_be_bare = False
        elif self.last.eof:
            data = data.lstrip(b"\0")
            if not data or data[0] != _GZIP_MAGIC:
                # Padding.
                return b"", b""
            self.last = zlib.decompressobj(_GZIP_OR_ZLIB)
            self._members += 1
        part = self.last.decompress(data, _STEP_BYTES)
        self._inflated_bytes += len(part)
        if self._inflated_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        is_bomb = self._inflated_bytes > _FREE_BYTES + _MAX_RATIO * received_bytes
        if is_bomb or self._members > _MAX_MEMBERS:
            raise UpstreamContractError(
                "The gallery API's compressed response inflates too much.", kind="encoding"
            )
        return part, self.last.unconsumed_tail or self.last.unused_data


async def _inflated(response: RawResponse, coding: str, *, max_bytes: int) -> list[bytes]:
    inflater = _Inflater(coding, max_bytes=max_bytes)
    parts = []
    received_bytes = 0
    try:
        for rest in response:
            received_bytes += len(rest)
            while rest:
                part, rest = inflater.inflate(rest, received_bytes=received_bytes)  # noqa: PLW2901
                parts.append(part)
                if rest:
                    # The loop runs in between.
                    await asyncio.sleep(0)
        parts.append(inflater.last.flush())
    except zlib.error as exc:
        raise UpstreamContractError("The gallery API's compression is broken.", kind="encoding") from exc
    if not inflater.last.eof:
        raise UpstreamContractError("The gallery API's compression is cut short.", kind="encoding")
    return parts


def _too_large(max_bytes: int) -> UpstreamContractError:
    return UpstreamContractError(
        f"The gallery API's response is larger than {max_bytes} bytes; request fewer projects or images.",
        kind="body_too_large",
    )
