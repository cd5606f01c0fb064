"""One call over the wire: a request in, a page or one error of the gateway out."""

import math
from dataclasses import dataclass, replace

import httpx

from gallery_gateway.errors import GatewayError, UpstreamTimeoutError, UpstreamUnavailableError
from gallery_gateway.telemetry.records import CallRecord, Link
from gallery_gateway.telemetry.telemetry import Telemetry
from gallery_gateway.upstream.body import read_body
from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules, parse_caching_rules
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.parsing import Reader
from gallery_gateway.upstream.reasons import transport_reason
from gallery_gateway.upstream.refusals import refusal

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

    async def make(self, request: httpx.Request, read: Reader) -> FetchedPage | NotModified:
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
            call.record.outcome, call.record.reason = exc.code, exc.reason
            raise
        except Exception:
            call.record.outcome, call.record.reason = "INTERNAL_SERVER_ERROR", "other"
            raise
        finally:
            self.telemetry.call_ended(call)
        return answer if call.link is None else replace(answer, call=call.link)

    async def _make(
        self, request: httpx.Request, read: Reader, record: CallRecord
    ) -> FetchedPage | NotModified:
        try:
            return await self._send(request, read, record)
        except httpx.TimeoutException as exc:
            raise UpstreamTimeoutError(
                "The gallery took too long to answer.",
                may_pass=isinstance(exc, httpx.ConnectTimeout),
                reason=transport_reason(exc),
            ) from exc
        except httpx.TransportError as exc:
            # What is no HTTP will not become so; whatever broke off may hold the next time.
            is_broken_off = not isinstance(exc, httpx.ProtocolError)
            raise UpstreamUnavailableError(
                "The gallery could not be reached.", may_pass=is_broken_off, reason=transport_reason(exc)
            ) from exc

    async def _send(
        self, request: httpx.Request, read: Reader, record: CallRecord
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
            raise refusal(response, await _read_error_body(response))
        finally:
            await response.aclose()


async def _read_error_body(response: httpx.Response) -> bytes:
    try:
        return await read_body(response, max_bytes=_MAX_ERROR_BYTES)
    except (GatewayError, httpx.TransportError):
        return b""
