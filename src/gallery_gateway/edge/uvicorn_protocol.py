"""The protocol of the server, and the check that uvicorn has the undocumented names that the gateway uses.

uvicorn's own protocol over httptools limits neither the head nor the time of a request, and reads the body of
a request that offers an upgrade as the next request. For what is overridden here, see
uvicorn/protocols/http/httptools_impl.py. `cli.py` and `app/signals.py` rely on names of `uvicorn.Server`.
"""

import asyncio
import math
import signal
from functools import partial
from http import HTTPStatus
from operator import itemgetter
from types import FunctionType
from typing import Any, Final

import httptools
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gallery_gateway.edge.replay import REPLAY_KEY, REPLAY_STORE, ReplayStore
from gallery_gateway.edge.request import MAX_BODY_BYTES, read_headers
from gallery_gateway.edge.responses import SEND_AT_ONCE, error_response, head_lines, security_headers

UVICORN_NAMES: Final[dict[type, str]] = {
    HttpToolsProtocol: (
        "_start_asgi_task app_state connection_lost connection_made cycle data_received expect_100_continue"
        " _unset_keepalive_if_required flow headers logger loop on_body on_header on_headers_complete"
        " on_message_begin on_message_complete parser pause_writing pipeline resume_writing scope"
        " send_400_response server_state shutdown timeout_keep_alive timeout_keep_alive_handler"
        " timeout_keep_alive_task transport url"
    ),
    RequestResponseCycle: (
        "access_log chunked_encoding default_headers disconnected expected_content_length flow keep_alive"
        " message_event more_body on_response response_complete response_started scope send transport"
        " waiting_for_100_continue"
    ),
    FlowControl: "pause_reading resume_reading write_paused",
    ServerState: "default_headers tasks total_requests",
    uvicorn.Server: "capture_signals handle_exit server_state should_exit",
}


class UnsupportedServerError(Exception):
    """The installed uvicorn differs from what the gateway relies on."""

    def __init__(self, difference: str) -> None:
        super().__init__(f"uvicorn {uvicorn.__version__} is not supported: {difference}.")


def check_uvicorn() -> None:
    """Raise `UnsupportedServerError` if uvicorn lacks a name, or handles SIGTERM in another way."""
    missing = sorted(
        f"{kind.__name__}.{name}"
        for kind, names in UVICORN_NAMES.items()
        for name in set(names.split()) - _names_in(kind)
    )
    if missing:
        raise UnsupportedServerError(f"it has no {', '.join(missing)}")
    server = uvicorn.Server(uvicorn.Config("", log_config=None))
    with server.capture_signals():
        # The app finds its server by this handler.
        if signal.getsignal(signal.SIGTERM) != server.handle_exit:
            raise UnsupportedServerError("Server.handle_exit does not handle SIGTERM")


def _names_in(kind: type) -> set[str]:
    """Return the attributes of a class, and all names that its methods use or set on an instance."""
    methods = [value for value in vars(kind).values() if isinstance(value, FunctionType)]
    return set(dir(kind)).union(*(method.__code__.co_names for method in methods))


# Request line and headers; twice what most proxies accept for one line.
MAX_HEAD_BYTES = 16 * 1024
# A chunk of one byte takes six bytes on the wire. A client that sends more for a byte wants no response.
_MAX_CHUNK_OVERHEAD = 8

# How long a rejected client may go on sending; what it sends is ignored.
_LINGER_SECONDS = 2.0

# How long after the start of the shutdown the app gives up the streams of clients that do not read.
_GIVING_UP_SECONDS = 0.4

_TRANSFER_ENCODING = b"transfer-encoding"
_name_of = itemgetter(0)

# RFC 9110, section 5.5; uvicorn refuses all others.
_VALUE_BYTES = bytes({9, *range(32, 256)} - {127})

# CONNECT, and the methods for which llhttp also accepts the protocol names ICE and RTSP.
_OTHER_METHODS = frozenset(
    b"CONNECT SOURCE DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER REDIRECT RECORD"
    b" FLUSH".split()
)


async def _run_without_chunks(
    app: ASGIApp, cycle: RequestResponseCycle, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run an app for a client that knows no chunks: the end of the connection is that of a response.

    uvicorn would send them (RFC 9112, section 6.1).
    """
    has_length = True

    async def send_plainly(message: Message) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            if all(name != b"content-length" for name, _ in message["headers"]):
                cycle.chunked_encoding = has_length = False
        elif not has_length:
            # Each piece has the length that uvicorn expects of it.
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    await app(scope, receive, send_plainly)


def _send_at_once(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
    """Write a complete response in one step, as uvicorn would in two.

    Return False if the response is unusual, or if middleware has wrapped `send`: then `send` has to do it.
    The names of headers are in lower case, and one is a length if the status has one.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.response_started or cycle.disconnected:
        return False
    # The last response of a connection has another header, and that to a HEAD has no body.
    if not cycle.keep_alive or cycle.flow.write_paused or cycle.access_log or cycle.scope["method"] == "HEAD":
        return False
    headers = [*cycle.default_headers, *headers]
    lines = head_lines(headers)
    if b"connection: " in lines or lines.translate(None, _VALUE_BYTES) != b"\r\n" * len(headers):
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.writelines((b"%b%b\r\n" % (STATUS_LINE[status], lines), body))
    cycle.message_event.set()
    cycle.on_response()
    return True


class _RejectedError(Exception):
    """Raised in a callback of the parser to reject the request for `WireProtocol._rejection`."""


class _Parser(httptools.HttpRequestParser):
    """llhttp that ignores the offer of an upgrade, as a server may (RFC 9110, section 7.8).

    httptools ends such a request at its head, regardless of its length (MagicStack/httptools#124). A second
    parser then reads the same head without the offer, and the bytes behind it.
    """

    def __init__(self, protocol: "WireProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # Like uvicorn, ignore the bytes behind a request with `Connection: close`.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: Any) -> None:
        parser = self
        # A loop instead of recursion: one piece of data may contain thousands of such requests.
        while True:
            try:
                httptools.HttpRequestParser.feed_data(parser, data)
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
            else:
                return
            parser = self._protocol.decline_upgrade()


class WireProtocol(HttpToolsProtocol):
    """One connection with limits. A request that comes in one piece, as nearly all do, needs no timer.

    If no response is under way, the head of a request is kept until its body is complete or the piece of data
    ends. A request that has a replay by then is answered here, and no task is made for it.

    Args:
        timeout_seconds: the time from the first byte of a request to its last.
        max_body_bytes: the endpoint rejects larger bodies; this limit is for bodies that no app reads.
    """

    def __init__(
        self,
        *arguments: Any,
        timeout_seconds: float,
        max_head_bytes: int = MAX_HEAD_BYTES,
        max_body_bytes: int = MAX_BODY_BYTES,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._timeout_seconds = timeout_seconds
        self._max_head_bytes = max_head_bytes
        self._max_bytes = max_head_bytes + _MAX_CHUNK_OVERHEAD * max_body_bytes
        # Bytes of the request that is not complete yet.
        self._received_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rejection: tuple[int, str] | None = None
        self._has_rejected = False
        self._responding: RequestResponseCycle | None = None
        self._offers_upgrade = False
        self._write_timer: asyncio.TimerHandle | None = None
        self.app_state[SEND_AT_ONCE] = _send_at_once
        self._replays: ReplayStore | None = self.app_state.get(REPLAY_STORE)
        # The body so far of a request that the app has not got yet.
        self._kept_body: list[bytes] | None = None
        # The scope of the last request that was replayed in the current piece of data.
        self._replayed: Any = None
        self._replayed_at = 0.0
        self.parser = _Parser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_write_timer()
        if self._responding is not None:
            # uvicorn notifies only the last request, which may wait behind this one.
            self._responding.disconnected = True
            self._responding.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._has_rejected or self.transport.is_closing():
            return
        before, scope, was_waiting = self.cycle, self.scope, bool(self._received_bytes)
        self._received_bytes += len(data)
        self._replayed = None
        self._feed(data)
        cycle = self.cycle
        # A response that is complete by now belongs to the previous request: these bytes begin no other.
        if (self._replayed is not None and self._replayed is self.scope) or (
            cycle is not None
            and cycle.scope is self.scope
            and not (cycle.more_body or cycle.response_complete)
        ):
            self._received_bytes = 0
            self._stop_timer()
        else:
            self._unset_keepalive_if_required()
            began_behind = was_waiting and self.scope is not scope
            is_pipelined = began_behind or before is not cycle or self._replayed is not None
            self._wait_for_more(is_pipelined=is_pipelined)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
            if self._kept_body is not None:
                # The rest of this request comes later.
                self._hand_over()
        # Outside of the parser, a path that is not ASCII raises its own error.
        except (httptools.HttpParserError, UnicodeDecodeError):
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)

    def decline_upgrade(self) -> _Parser:
        """Return a new parser that has read the head of the current request without the offer."""
        self._offers_upgrade = False
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        headers = [header for header in self.headers if header[0] != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, head_lines(headers))
        self.parser = _Parser(self)
        httptools.HttpRequestParser.feed_data(self.parser, head)
        return self.parser

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        self._rejection = self._check_head(version)
        if self._rejection is not None:
            raise _RejectedError
        if version == "1.0":
            # A client of that version would take a 100 for the response (RFC 9110, section 10.1.1).
            self.expect_100_continue = False
        if self.parser.should_upgrade():
            # The request begins again, without the offer.
            self._offers_upgrade = True
            return
        is_next = self.cycle is None or self.cycle.response_complete
        self._kept_body = []
        # HTTP/1.0 closes the connection with each response.
        if self._replays is None or not is_next or self.expect_100_continue or version == "1.0":
            self._hand_over()
        # Trailers go to another list, since they are not headers (RFC 9110, section 6.5.1).
        self.headers = []

    def on_body(self, body: bytes) -> None:
        if self._kept_body is not None:
            self._kept_body.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offers_upgrade:
            return
        if self._kept_body is not None:
            if self._replay(b"".join(self._kept_body)):
                self._kept_body = None
                return
            self._hand_over()
        super().on_message_complete()
        if not self.parser.should_keep_alive():
            # A trailer may contain `close` too, and then the parser ignores everything behind it.
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def _hand_over(self) -> None:
        """Give the current request to the app, with the body that has come."""
        pieces, self._kept_body = self._kept_body or (), None
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        for piece in pieces:
            super().on_body(piece)

    def _replay(self, body: bytes) -> bool:
        """Return whether the current request has a replay, which has been sent."""
        if self._replays is None or self._replays.is_leaving:
            return False
        if self.flow.write_paused or not self.parser.should_keep_alive():
            return False
        headers, repeated = read_headers(self.scope["headers"])
        # The endpoint compares ETags.
        if repeated is not None or b"if-none-match" in headers:
            return False
        method = self.parser.get_method().decode()
        key = self._replays.key(method, self.url, headers, body)
        response = self._replays.respond(key, method, headers, self.server_state.default_headers)
        if response is None:
            self.scope["state"][REPLAY_KEY] = key
            return False
        self.transport.writelines(response)
        self.server_state.total_requests += 1
        self._replayed = self.scope
        self._replayed_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._start_keep_alive_timer(self.timeout_keep_alive)
        return True

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(_GIVING_UP_SECONDS, self._abort_given_up)

    def _abort_given_up(self) -> None:
        """Abort a connection whose response the app has given up: a close would wait for its client."""
        cycle = self._responding
        if cycle is not None and not cycle.response_complete and self.transport.is_closing():
            self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._responding = cycle
        if cycle.scope["http_version"] == "1.0":
            app = partial(_run_without_chunks, app, cycle)
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._check_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()

    def _start_keep_alive_timer(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        # A replay does not restart the timer, which would cost as much as the replay itself.
        remaining_seconds = self._replayed_at + self.timeout_keep_alive - self.loop.time()
        if remaining_seconds > 0:
            self._start_keep_alive_timer(remaining_seconds)
            return
        if self.transport.get_write_buffer_size():
            # A close would wait for a client that does not read.
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _check_writing(self, unsent_before: float = math.inf) -> None:
        """Abort the connection if the client has read nothing of its response since the last check."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes >= unsent_before:
            self.transport.abort()
        else:
            self._write_timer = self.loop.call_later(self._timeout_seconds, self._check_writing, unsent_bytes)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _check_head(self, version: str) -> tuple[int, str] | None:
        """Return the rejection of a head that llhttp accepts, or rejects only after the app has begun."""
        if self._received_bytes > self._max_head_bytes:
            head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if head_bytes > self._max_head_bytes:
                return 431, self._head_message()
        if version not in {"1.0", "1.1"}:
            return 400, "Send HTTP/1.1."
        # For most requests, this look at the header names is all.
        if _TRANSFER_ENCODING in map(_name_of, self.headers):
            codings = [value.strip().lower() for name, value in self.headers if name == _TRANSFER_ENCODING]
            # A proxy that does not know chunks in HTTP/1.0 sees the end elsewhere (RFC 9112, section 6.1).
            if version == "1.0" or codings != [b"chunked"]:
                return 400, "The only supported Transfer-Encoding is `chunked`, in HTTP/1.1."
        if self.parser.get_method() in _OTHER_METHODS:
            return 405, "This method is not allowed; use GET or POST."
        return None

    def send_400_response(self, msg: str) -> None:
        status, message = self._rejection or (400, msg)
        self._reject(status, message)

    def _wait_for_more(self, *, is_pipelined: bool) -> None:
        if self.transport.is_closing():
            return
        has_head = self.cycle is not None and self.cycle.scope is self.scope
        if is_pipelined and not has_head:
            # Most of these bytes belong to another request.
            self._received_bytes = 0
        if self._timer is None:
            self._start_timer()
        if has_head and self._received_bytes > self._max_bytes:
            self._reject(413, f"The request is larger than {self._max_bytes} bytes.")
        elif not has_head and self._received_bytes > self._max_head_bytes:
            self._reject(431, self._head_message())

    def _head_message(self) -> str:
        return f"The request line and the headers are larger than {self._max_head_bytes} bytes."

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._timeout_seconds, self._end_waiting)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_waiting(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            # A response is under way; only the bytes behind its request are late.
            self._start_timer()
            return
        self._timer = None
        if self._received_bytes:
            seconds = f"{self._timeout_seconds:g} seconds"
            self._reject(408, f"The request did not arrive completely within {seconds}.")
        else:
            self.transport.close()

    def _reject(self, status: int, message: str) -> None:
        """Respond to the current request as the endpoint would, unless its response has begun; then close."""
        if self._has_rejected or self.transport.is_closing():
            return
        self._has_rejected = True
        rejection = _rejection_bytes(status, message)
        cycle = self.cycle
        is_handed_over = cycle is not None and cycle.scope is self.scope
        if is_handed_over and self.pipeline:
            # It waits behind other requests, so the app has not begun it yet.
            self.pipeline.popleft()
        elif is_handed_over:
            # The rest of the app's response goes nowhere.
            cycle.disconnected = True
            cycle.message_event.set()
            self._end_with(b"" if cycle.response_started else rejection)
            return
        before = self.pipeline[0][0] if self.pipeline else self._responding
        if before is None or before.response_complete:
            self._end_with(rejection)
        else:
            # The responses to earlier requests come first.
            before.on_response = partial(self._end_with, rejection)
            self.flow.pause_reading()

    def _end_with(self, last: bytes) -> None:
        """Write the last bytes, and close once the client has had time to read them.

        An immediate close resets the connection if more bytes of the client arrive, and the client may lose
        bytes that it has not read yet (RFC 9112, section 9.6).
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


def _rejection_bytes(status: int, message: str) -> bytes:
    head = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"connection", b"close"),
        *security_headers(),
    ]
    _, headers, body = error_response(status, message, {"code": "BAD_REQUEST"}, head)
    headers.append((b"content-length", b"%d" % len(body)))
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, phrase, head_lines(headers), body)
