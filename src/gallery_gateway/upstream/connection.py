"""One HTTP/1.1 connection to the API: one request at a time, without a body, and the response to it.

The reading follows RFC 9112. The parser is llhttp, by httptools, as it is at the edge; a body whose length is
known bypasses it, since that is most of what comes.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import cast

import httptools
import httpx

from gallery_gateway.upstream.answer import Answer, Patience, RawHeader
from gallery_gateway.upstream.reasons import (
    ClosedError,
    FirstByteTimeoutError,
    HeadTooLargeError,
    OverheadTooLargeError,
    TotalTimeoutError,
)

# Status line and headers, and the 1xx responses before them; no honest server sends as much.
_MAX_HEAD_BYTES = 64 * 1024
_MAX_HEADERS = 1_000

# Beside the body: trailers, and for each chunk its size and extensions.
_MAX_OVERHEAD_BYTES = 128 * 1024
_MAX_OVERHEAD_BYTES_PER_PART = 32

# Each chunk costs time: a few may be of any size, and beyond that they have to hold this much on average.
_FREE_PARTS = 16_384
_MIN_BYTES_PER_PART = 64

_VERSIONS = frozenset({"1.0", "1.1"})

# Those of 2^64, beyond which the parser refuses a number; but it takes any number of zeros before it.
_MAX_LENGTH_DIGITS = 20


class Connection(asyncio.Protocol):
    """A connection that may be asked while `is_open`, once the last response has come.

    Args:
        max_bytes: of a body; a larger one is not read to its end.
        retire_at: when it is too old to be asked again, in the loop's seconds.
        on_closed: called with the connection once it has ended.

    `owner` is whose request it carried last, and `idle_since` when that was answered; both are the pool's.
    """

    def __init__(
        self, *, max_bytes: int, retire_at: float, on_closed: "Callable[[Connection], None]"
    ) -> None:
        self.is_open = False
        self._on_closed = on_closed
        self.retire_at = retire_at
        self.owner: bytes | None = None
        self.idle_since = 0.0
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser
        self._transport: asyncio.Transport
        self._is_readable: Callable[[], object] | None = None
        # Of the exchange under way.
        self._waiter: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._headers: list[RawHeader] = []
        self._parsed_bytes = 0
        self._missing_bytes: int | None = None
        self._is_complete = False
        self._is_reusable = False
        self._patience: Patience
        self._until = 0.0
        self._heard_at = 0.0
        self._has_heard = False
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, head: bytes, patience: Patience, *, until: float) -> asyncio.Future[Answer]:
        """Send a request. Whoever stops waiting for the response has to abort the connection.

        The future fails with a `httpx.TransportError` if not even the head of a response came; with a
        `ClosedError` if the connection ended before its first byte.

        Args:
            head: of the request, which is all of it.
            patience: with silence.
            until: when the response has to be complete, in the loop's seconds.
        """
        waiter = self._waiter = self._loop.create_future()
        # A new one: trailers and 1xx responses would leave their marks for the next response.
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._headers = None, []
        self._parsed_bytes, self._missing_bytes = 0, None
        self._is_complete = self._has_heard = False
        self._patience, self._until = patience, until
        self._heard_at = self._loop.time()
        self._watch()
        self._transport.write(head)
        return waiter

    def is_quiet(self) -> bool:
        """Return whether it is open, and the kernel holds no byte of it that the loop has not read yet."""
        if self._is_readable is None:
            self._is_readable = _reader_of(self._transport.get_extra_info("socket"))
        return self.is_open and not self._is_readable()

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's has the methods of asyncio's, and is none.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._on_closed(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._answer is not None and exc is None and self._answer.is_ended_by_close():
            self._end()
            return
        kind = httpx.ReadError if self._has_heard else ClosedError
        error = kind("The connection ended before the response did.")
        error.__cause__ = exc
        self._break_off(error)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._has_heard = True
        if self._waiter is None:
            # Nothing was asked for: whatever it is, it must not become the next response.
            self.abort()
        elif self._answer is not None and self._missing_bytes is not None:
            self._take(self._answer, data, self._missing_bytes)
        else:
            self._parse(data)

    # Callbacks of the parser. More than one response may come at a time: the others belong to no request.

    def on_message_begin(self) -> None:
        if self._is_complete:
            self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is not None:
            return
        if len(self._headers) == _MAX_HEADERS:
            raise HeadTooLargeError("The response has too many headers.")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._answer is not None:
            return
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        headers, self._headers = self._headers, []
        _check_framing(version, status, headers)
        # After a 1xx the response is still to come, except after this one.
        if status >= 200 or status == 101:
            # The parser leaves the white space behind a value (RFC 9110, section 5.5).
            self._answer = Answer(status, [(name, value.rstrip(b" \t")) for name, value in headers])
            # In HTTP/1.0 a "close" beside "keep-alive" and the end of chunks are matters of opinion
            # (RFC 9112, sections 6.1 and 9.3).
            self._is_reusable = version == "1.1" and self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        answer = self._answer
        if answer is None or self._is_complete:
            return
        answer.add(body)
        if answer.received_parts > _FREE_PARTS + answer.body_bytes // _MIN_BYTES_PER_PART:
            raise OverheadTooLargeError("The body comes in too many parts.")

    def on_message_complete(self) -> None:
        self._is_complete = self._answer is not None

    def _parse(self, data: bytes) -> None:
        had_head = self._answer is not None
        self._parsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_complete, self._is_reusable = True, False
        except httptools.HttpParserError as exc:
            if not self._is_complete:
                self._break_off(_error_of(exc))
                return
            # Only what comes behind the response is no HTTP.
            self._is_reusable = False
        if not had_head and self._is_head_too_large():
            self._answer = None
            self._break_off(HeadTooLargeError("The head of the response is too large."))
        elif self._answer is not None:
            self._advance(self._answer, had_head=had_head)

    def _is_head_too_large(self) -> bool:
        if self._parsed_bytes <= _MAX_HEAD_BYTES:
            return False
        # Some of that may be the body.
        return self._answer is None or sum(map(len, chain(*self._answer.headers))) > _MAX_HEAD_BYTES

    def _advance(self, answer: Answer, *, had_head: bool) -> None:
        if self._is_complete:
            self._end()
        elif answer.body_bytes > self._max_bytes:
            self._end(is_cut=True)
        elif self._is_overhead_too_large(answer):
            self._break_off(OverheadTooLargeError("Chunks or trailers outweigh the body."))
        elif not had_head and (announced_bytes := answer.announced_bytes()) is not None:
            self._missing_bytes = announced_bytes - answer.body_bytes

    def _is_overhead_too_large(self, answer: Answer) -> bool:
        overhead_bytes = self._parsed_bytes - answer.body_bytes
        return overhead_bytes > _MAX_OVERHEAD_BYTES + _MAX_OVERHEAD_BYTES_PER_PART * answer.received_parts

    def _take(self, answer: Answer, data: bytes, missing_bytes: int) -> None:
        answer.add(data[:missing_bytes])
        self._missing_bytes = max(0, missing_bytes - len(data))
        if len(data) >= missing_bytes:
            # What comes behind the response belongs to no request.
            self._is_reusable = self._is_reusable and len(data) == missing_bytes
            self._end()
        elif answer.body_bytes > self._max_bytes:
            self._end(is_cut=True)

    def _end(self, *, is_cut: bool = False) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and self._answer is not None and not waiter.done():
            waiter.set_result(self._answer)
        if is_cut or not self._is_reusable:
            self.abort()

    def _break_off(self, error: httpx.TransportError) -> None:
        # An answer that was given already is whole, whatever becomes of the connection.
        if self._waiter is not None and self._answer is not None:
            self._answer.error = error
            self._end(is_cut=True)
            return
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        self.abort()

    def _watch(self) -> None:
        """Have the time looked at when it may be over.

        One timer does for many requests: to set one for each costs as much as to parse a small response.
        """
        due_at = self._due_at()
        if self._timer is not None and self._timer.when() <= due_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due_at, self._check_timeouts)

    def _due_at(self) -> float:
        silence_seconds = self._patience["first_byte" if self._answer is None else "read"]
        return min(self._heard_at + silence_seconds, self._until)

    def _check_timeouts(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        now = self._loop.time()
        if now < self._due_at():
            self._watch()
        elif now >= self._until:
            self._break_off(TotalTimeoutError("The call took too long."))
        elif self._answer is None:
            self._break_off(FirstByteTimeoutError("The response did not begin in time."))
        else:
            self._break_off(httpx.ReadTimeout("The response paused for too long."))


def _check_framing(version: str, status: int, headers: list[RawHeader]) -> None:
    """Refuse what the parser takes, and others may not.

    It refuses by itself two lengths, a length beside a transfer coding, white space and line ends where they
    do not belong.

    Raises:
        httpx.RemoteProtocolError: others might see the end of this response somewhere else.
    """
    if version not in _VERSIONS or status < 100:
        raise httpx.RemoteProtocolError("The response is of an unknown version or status.")
    # With a tab behind it, the parser would not take it for chunked.
    codings = [value.lower().rstrip(b" ") for name, value in headers if name == b"transfer-encoding"]
    if codings and codings != [b"chunked"]:
        raise httpx.RemoteProtocolError("The response has a transfer coding other than chunked.")
    if any(name == b"content-length" and len(value) > _MAX_LENGTH_DIGITS for name, value in headers):
        raise httpx.RemoteProtocolError("The response has a length of too many digits.")


def _error_of(exc: httptools.HttpParserError) -> httpx.TransportError:
    """Return what one of the callbacks raised, or else what the parser says."""
    refusal = exc.__context__
    if isinstance(refusal, httpx.TransportError):
        return refusal
    return httpx.RemoteProtocolError(f"This is no HTTP: {exc}")


def _reader_of(connected: socket.socket) -> Callable[[], object]:
    """Return a function that says whether there is something to be read; an end or an error counts too."""
    if not hasattr(select, "poll"):
        return lambda: select.select([connected], [], [], 0)[0]
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return partial(poll.poll, 0)
