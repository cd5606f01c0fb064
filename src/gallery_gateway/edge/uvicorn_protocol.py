"""The server's protocol, and the only file that relies on private names of uvicorn.

uvicorn's own protocol over httptools bounds neither head nor time, and takes the body of a request that
offers an upgrade for the next request. Source of what is overridden:
uvicorn/protocols/http/httptools_impl.py.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from operator import itemgetter
from types import FunctionType
from typing import Any, Final

import httptools
import msgspec
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gallery_gateway.edge.headers import head_lines, shield_headers
from gallery_gateway.edge.replay import REMEMBER, VERBATIM_REPEATS, Digest, VerbatimReplay, VerbatimReplays
from gallery_gateway.edge.request import MAX_BODY_BYTES

UVICORN_NAMES: Final[dict[type, frozenset[str]]] = {
    HttpToolsProtocol: frozenset(
        {
            "_start_asgi_task",
            "app_state",
            "connection_lost",
            "connection_made",
            "cycle",
            "data_received",
            "expect_100_continue",
            "flow",
            "headers",
            "loop",
            "on_header",
            "on_headers_complete",
            "on_message_begin",
            "on_message_complete",
            "parser",
            "pause_writing",
            "pipeline",
            "resume_writing",
            "scope",
            "send_400_response",
            "server_state",
            "timeout_keep_alive",
            "timeout_keep_alive_handler",
            "timeout_keep_alive_task",
            "transport",
            "url",
        }
    ),
    RequestResponseCycle: frozenset(
        {
            "disconnected",
            "keep_alive",
            "message_event",
            "more_body",
            "on_response",
            "response_complete",
            "response_started",
            "scope",
        }
    ),
    FlowControl: frozenset({"pause_reading", "resume_reading", "write_paused"}),
    ServerState: frozenset({"default_headers", "total_requests"}),
}


class UnsupportedServerError(Exception):
    """The installed uvicorn is not the one that the edge was written for."""


def check_uvicorn() -> None:
    """Raise `UnsupportedServerError` if uvicorn lacks a name that is relied on."""
    missing = sorted(
        f"{kind.__name__}.{name}" for kind, names in UVICORN_NAMES.items() for name in names - _names_in(kind)
    )
    if missing:
        raise UnsupportedServerError(
            f"uvicorn {uvicorn.__version__} is not supported: it has no {', '.join(missing)}."
        )


def _names_in(kind: type) -> set[str]:
    """Return the names of a class: its attributes, and all that its methods use or set on an instance."""
    methods = [value for value in vars(kind).values() if isinstance(value, FunctionType)]
    return set(dir(kind)).union(*(method.__code__.co_names for method in methods))


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

    timeout_seconds: float
    max_head_bytes: int = 16 * 1024
    max_body_bytes: int = MAX_BODY_BYTES

    @property
    def max_bytes(self) -> int:
        return self.max_head_bytes + _MAX_WEIGHT * self.max_body_bytes


# For so long a client that was refused may go on sending; what it sends is not looked at.
_LINGER_SECONDS = 2.0

_VERSIONS = frozenset({"1.0", "1.1"})
_TRANSFER_ENCODING = b"transfer-encoding"
_name_of = itemgetter(0)

# CONNECT, and the methods for which llhttp also takes the protocol names ICE and RTSP.
_OTHER_METHODS = frozenset(
    b"CONNECT SOURCE DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER REDIRECT RECORD"
    b" FLUSH".split()
)


class _RefusedError(Exception):
    """Raised in a callback of the parser to refuse the request; `WireProtocol._refused` holds the answer."""


class _Parser(httptools.HttpRequestParser):
    """llhttp that ignores the offer of an upgrade, as a server may (RFC 9110, section 7.8).

    httptools ends such a request at its head, whatever its length says (MagicStack/httptools#124). Another
    parser then reads the same head without the offer, and what follows it.
    """

    def __init__(self, protocol: "WireProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # What follows a request with `Connection: close` is ignored, as uvicorn has it.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(memoryview(data)[upgrade.args[0] :])

    def _read_on(self, rest: memoryview) -> None:
        # A loop, not a recursion: one piece may hold thousands of such requests.
        while True:
            parser = self._protocol.decline_upgrade()
            try:
                httptools.HttpRequestParser.feed_data(parser, rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            else:
                return


class WireProtocol(HttpToolsProtocol):
    """One connection. For a request that comes in one piece, as nearly all do, no timer is set."""

    def __init__(self, *arguments: Any, limits: WireLimits, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        # Of the request that is not whole yet.
        self._received_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._refused: tuple[int, str] | None = None
        self._has_refused = False
        self._answering: RequestResponseCycle | None = None
        self._offers_upgrade = False
        self._write_timer: asyncio.TimerHandle | None = None
        self.parser = _Parser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_watching_writing()
        if self._answering is not None:
            # uvicorn tells only the last request, which may wait behind this one.
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._has_refused or self.transport.is_closing():
            return
        before, scope, was_waiting = self.cycle, self.scope, bool(self._received_bytes)
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
            began_behind = was_waiting and self.scope is not scope
            self._wait_for_more(is_pipelined=began_behind or before is not cycle)

    def decline_upgrade(self) -> _Parser:
        """Return a new parser that has read the head of the request under way, without its offer."""
        self._offers_upgrade = False
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        kept = [header for header in self.headers if header[0] != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, head_lines(kept))
        self.parser = _Parser(self)
        httptools.HttpRequestParser.feed_data(self.parser, head)
        return self.parser

    def on_headers_complete(self) -> None:
        parser = self.parser
        if self._received_bytes > self._limits.max_head_bytes:
            self._check_size()
        # Most requests need no more than this look at their names.
        if parser.get_http_version() != "1.1" or _TRANSFER_ENCODING in map(_name_of, self.headers):
            self._check_framing(parser.get_http_version())
        if parser.get_method() in _OTHER_METHODS:
            self._refused = (405, "This method is not allowed here.")
            raise _RefusedError
        if parser.should_upgrade():
            # The request begins once more, without the offer.
            self._offers_upgrade = True
            return
        super().on_headers_complete()
        # Trailers come to another list: they are no headers (RFC 9110, section 6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        if self._offers_upgrade:
            return
        super().on_message_complete()
        if not self.parser.should_keep_alive():
            # A trailer may say `close` too, and the parser then reads nothing behind it.
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching_writing()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            # To close it would wait for a client that does not read.
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _watch_writing(self, unsent_bytes: int) -> None:
        self._write_timer = self.loop.call_later(
            self._limits.timeout_seconds, self._end_writing, unsent_bytes
        )

    def _end_writing(self, unsent_before: int) -> None:
        """Abort a connection whose client has read nothing of its answer for the whole time."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes >= unsent_before:
            self.transport.abort()
        else:
            self._watch_writing(unsent_bytes)

    def _stop_watching_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _check_size(self) -> None:
        limit = self._limits.max_head_bytes
        head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if head_bytes > limit:
            self._refused = (431, f"The request line and the headers are larger than {limit} bytes.")
            raise _RefusedError

    def _check_framing(self, version: str) -> None:
        """Refuse what llhttp lets in, or refuses only once the app has begun."""
        if version not in _VERSIONS:
            self._refused = (400, "Send HTTP/1.1.")
            raise _RefusedError
        codings = [value.strip().lower() for name, value in self.headers if name == _TRANSFER_ENCODING]
        # A proxy that knows no chunks in HTTP/1.0 would see another end (RFC 9112, section 6.1).
        if codings and (codings != [b"chunked"] or version == "1.0"):
            self._refused = (400, "The only Transfer-Encoding is `chunked`, in HTTP/1.1.")
            raise _RefusedError
        if version == "1.0":
            # A client of that version would take a 100 for the answer (RFC 9110, section 10.1.1).
            self.expect_100_continue = False

    def send_400_response(self, msg: str) -> None:
        status, message = self._refused or (400, msg)
        self._refuse(status, message)

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
            self._refuse(status, "The request is too large.")

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
        """Answer the request under way as the endpoint would, unless its answer has begun; then close."""
        if self._has_refused or self.transport.is_closing():
            return
        self._has_refused = True
        refusal = _refusal(status, message)
        cycle = self.cycle
        is_handed_over = cycle is not None and cycle.scope is self.scope
        if is_handed_over and self.pipeline:
            # It waits behind others, so the app has not begun it yet.
            self.pipeline.popleft()
        elif is_handed_over:
            # Whatever the app still sends has no reader.
            cycle.disconnected = True
            cycle.message_event.set()
            self._end_with(b"" if cycle.response_started else refusal)
            return
        before = self.pipeline[0][0] if self.pipeline else self._answering
        if before is None or before.response_complete:
            self._end_with(refusal)
        else:
            # The answers to the requests before come first.
            before.on_response = partial(self._end_with, refusal)
            self.flow.pause_reading()

    def _end_with(self, last: bytes) -> None:
        """Write the last bytes, and close once the client has had time to read them.

        To close at once while more of its bytes come would reset the connection, and the client could lose
        what it has not read yet (RFC 9112, section 9.6).
        """
        if self.transport.is_closing():
            return
        self.transport.write(last)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()


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


# After so many requests in a row that had not come before, only two in as many are looked for.
_MANY_MISSES = 64


class ReplayProtocol(WireProtocol):
    """One connection. What the app has had remembered is looked for by the bytes of each whole request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._repeats: VerbatimReplays | None = self.app_state.get(VERBATIM_REPEATS)
        # Of the request under way, if it came in one piece, and nothing with it or after it.
        self._digest: Digest | None = None
        self._misses = 0
        self._answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self._answer_again(data):
            return
        super().data_received(data)
        if not self._is_alone():
            self._digest = None

    def on_headers_complete(self) -> None:
        if self._digest is not None:
            self.scope["extensions"] = {REMEMBER: {REMEMBER: partial(self._remember, self._digest)}}
        super().on_headers_complete()

    def timeout_keep_alive_handler(self) -> None:
        # A verbatim repeat does not put the timer off each time: that costs as much as its answer.
        remaining_seconds = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if remaining_seconds > 0:
            self._keep_alive_for(remaining_seconds)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _answer_again(self, data: bytes) -> bool:
        """Whether the data is a request that came before, and was answered as it was then."""
        self._digest = None
        if self._repeats is None or not self._is_between_requests() or self.flow.write_paused:
            return False
        # Where a proxy stamps each request, none ever comes again: then it costs nothing to look for them.
        self._misses += 1
        if self._misses > _MANY_MISSES and self._misses % _MANY_MISSES > 1:
            return False
        digest = self._repeats.digest(data)
        repeat = self._repeats.get(digest)
        response = None if repeat is None else repeat.respond(self.server_state.default_headers)
        if response is None:
            self._digest = digest
            return False
        self._misses = 0
        self._write(response)
        return True

    def _is_between_requests(self) -> bool:
        """Whether the next byte begins a request, and no other is under way."""
        is_answered = self.cycle is None or (self._is_complete() and self.cycle.response_complete)
        return is_answered and not self._received_bytes

    def _is_alone(self) -> bool:
        """Whether what is under way is one whole request, with nothing before or behind it."""
        return self.cycle is not None and self._is_complete() and not self.pipeline

    def _is_complete(self) -> bool:
        """Whether the last request that began has come to its end.

        The scope is another one as soon as one byte of another request has come. Without that, the rest of
        such a request would be looked for, and found for whoever sends the same rest.
        """
        return self.cycle.scope is self.scope and not self.cycle.more_body

    def _write(self, response: tuple[bytes, bytes]) -> None:
        self.transport.writelines(response)
        self.server_state.total_requests += 1
        self._stop_timer()
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive_for(self.timeout_keep_alive)

    def _remember(self, digest: Digest, repeat: VerbatimReplay) -> None:
        if self._repeats is not None and digest is self._digest and self.cycle.keep_alive:
            self._repeats.put(digest, repeat)
