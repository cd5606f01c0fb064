"""What holds before there is a request: where it ends, how large its head may be, how slowly it may come.

uvicorn's protocol over httptools bounds neither head nor time, and takes the body of a request that offers
an upgrade for the next request. Source of what is overridden: uvicorn/protocols/http/httptools_impl.py.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gallery_gateway.edge.headers import RawHeader, head_lines
from gallery_gateway.edge.shield import shield_headers

# Chunks of one byte weigh six; whoever sends more than that for a byte wants no answer.
_MAX_WEIGHT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What one request may be.

    Args:
        max_head_bytes: request line and headers.
        max_body_bytes: the endpoint refuses larger ones; here it bounds what comes all the same.
        timeout_seconds: for the whole of it to come.
    """

    max_head_bytes: int
    max_body_bytes: int
    timeout_seconds: float

    @property
    def max_bytes(self) -> int:
        return self.max_head_bytes + _MAX_WEIGHT * self.max_body_bytes


class _RefusedError(Exception):
    """Raised through the parser, which ends the connection; the protocol has the answer."""


class _Parser(httptools.HttpRequestParser):
    """httptools' parser, which also reads requests that offer an upgrade.

    httptools ends such a request at its head, whatever its length says (MagicStack/httptools#124).
    """

    def __init__(self, protocol: "WireProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # What follows a request with `Connection: close` is ignored, as uvicorn has it.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # asyncio gives bytes
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            (head_end,) = upgrade.args
            self._protocol.decline_upgrade(data[head_end:])


class WireProtocol(HttpToolsProtocol):
    """One connection. A request that comes in one piece, as nearly all do, costs two comparisons here."""

    def __init__(self, *arguments: Any, limits: WireLimits, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        # Of the request that is not whole yet.
        self._received_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._refused: tuple[int, str] | None = None
        self.parser = _Parser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        self._received_bytes += len(data)
        super().data_received(data)
        cycle = self.cycle
        # A response that is complete by now was that to the last request: these bytes begin no other.
        if (
            cycle is not None
            and cycle.scope is self.scope
            and not (cycle.more_body or cycle.response_complete)
        ):
            self._received_bytes = 0
            self._stop_timer()
        else:
            self._wait_for_more(is_pipelined=before is not cycle)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            # Begins once more, without the offer.
            return
        self._check_head()
        super().on_headers_complete()
        # Trailers come to another list: they are no headers (RFC 9110, section 6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def decline_upgrade(self, rest: bytes) -> None:
        """Read a request as if it had offered no upgrade, which a server may ignore (RFC 9110, section 7.8).

        `rest` is what came behind its head. The parser has checked the head, so it can be written again.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(405, "This method is not allowed here.")
            return
        head = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        headers = head_lines(_without_upgrade(self.headers))
        self.parser = _Parser(self)
        self.parser.feed_data(b"%b%b\r\n" % (head, headers))
        if rest:
            self.parser.feed_data(rest)

    def _check_head(self) -> None:
        limit = self._limits.max_head_bytes
        if self._received_bytes > limit and self._head_bytes() > limit:
            self._refused = (431, f"The head of a request may have {limit} bytes (MAX_HEAD_BYTES).")
            raise _RefusedError
        version = self.parser.get_http_version()
        if version == "1.1":
            return
        # A proxy that knows no chunks in HTTP/1.0 would see another end (RFC 9112, section 6.1).
        if version != "1.0" or any(name == b"transfer-encoding" for name, _ in self.headers):
            self._refused = (400, "Send HTTP/1.1.")
            raise _RefusedError

    def send_400_response(self, msg: str) -> None:
        status, message = self._refused or (400, msg)
        self._refuse(status, message)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _wait_for_more(self, *, is_pipelined: bool) -> None:
        if self.transport.is_closing():
            return
        has_head = self.cycle is not None and self.cycle.scope is self.scope
        if is_pipelined and not has_head:
            # Most of what came was another request's.
            self._received_bytes = 0
        if self._timer is None:
            self._start_timer()
        limits = self._limits
        if self._received_bytes > (limits.max_bytes if has_head else limits.max_head_bytes):
            status = 413 if has_head else 431
            self._refuse(status, "The request is too large (MAX_HEAD_BYTES, MAX_BODY_BYTES).")

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._limits.timeout_seconds, self._end_waiting)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_waiting(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            # An answer is under way; only what comes after it is late.
            self._start_timer()
            return
        self._timer = None
        if self._received_bytes:
            seconds = self._limits.timeout_seconds
            self._refuse(
                408, f"The request did not come within {seconds:g} seconds (REQUEST_TIMEOUT_SECONDS)."
            )
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """An answer of the same kind as the endpoint's, unless another one has begun; then the end."""
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope or not cycle.response_started:
            self.transport.write(_refusal(status, message))
        self.transport.close()


def _without_upgrade(headers: list[RawHeader]) -> list[RawHeader]:
    kept = []
    for name, value in headers:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            kept.append((name, b", ".join(option for option in options if option.lower() != b"upgrade")))
        elif name != b"upgrade":
            kept.append((name, value))
    return kept


def _refusal(status: int, message: str) -> bytes:
    body = msgspec.json.encode({"errors": [{"message": message, "extensions": {"code": "BAD_REQUEST"}}]})
    head = (
        (b"content-type", b"application/json; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *shield_headers(),
    )
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, phrase, head_lines(head), body)
