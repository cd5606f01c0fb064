"""HTTP/1.1 to one API, behind httpx's transport interface.

Why it is a client of our own: `docs/decisions/http-client.md`. It is driven without `httpx.AsyncClient`,
whose cookie jar, redirects, proxies and netrc have no place between one caller's token and another's.

The reading follows RFC 9112. The parser is llhttp, by httptools, as it is at the edge; a body whose length is
known bypasses it, since that is most of what comes.

In HTTP/1.1 bytes that arrive after a request has been sent are its response, whoever asked for them. A server
that sends more than it should could show one caller what belongs to another. So connections rarely change
hands: a caller gets its own last one, else one that has been silent for a while, else a new one.
"""

import asyncio
import random
import re
import select
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TypedDict, cast

import aiohappyeyeballs
import httptools
import httpx


class FirstByteTimeoutError(httpx.ReadTimeout):
    """No response began in time."""


class TotalTimeoutError(httpx.ReadTimeout):
    """The call took too long as a whole."""


class ClosedError(httpx.ReadError):
    """The connection ended before the first byte of a response."""


class HeadTooLargeError(httpx.RemoteProtocolError):
    """The head of a response has too many bytes or headers."""


class OverheadTooLargeError(httpx.RemoteProtocolError):
    """Bytes that are not part of the body outweigh it."""


RawHeader = tuple[bytes, bytes]


class TimeoutExtension(TypedDict):
    """How long a call may take, in seconds: as a request's extensions have it (`Timeouts`)."""

    connect: float
    first_byte: float
    read: float
    total: float


# Parts smaller than the first are joined up to the second: an object for each would outweigh the body.
_SMALL_PART_BYTES = 4096
_JOINED_PART_BYTES = 64 * 1024


@dataclass(slots=True)
class RawResponse:
    """A response as it came.

    Args:
        headers: the names in lower case; trailers are not among them.
        parts: the body, compressed if it is; a little more than is allowed, if it is too large.
        error: why the body broke off.
        received_parts: how many parts came, before small ones were joined.
    """

    status: int
    headers: list[RawHeader]
    parts: list[bytes | bytearray] = field(default_factory=list)
    error: httpx.TransportError | None = None
    body_bytes: int = 0
    received_parts: int = 0

    def add(self, part: bytes) -> None:
        self.received_parts += 1
        self.body_bytes += len(part)
        if len(part) >= _SMALL_PART_BYTES:
            self.parts.append(part)
            return
        last = self.parts[-1] if self.parts else None
        if isinstance(last, bytearray) and len(last) < _JOINED_PART_BYTES:
            last += part
        else:
            self.parts.append(bytearray(part))

    def announced_bytes(self) -> int | None:
        """How long the body is, if that is known."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), None)

    def is_ended_by_close(self) -> bool:
        """Whether the body has no other end than that of the connection (RFC 9112, section 6.3)."""
        names = {name for name, _ in self.headers}
        return names.isdisjoint({b"content-length", b"transfer-encoding"})


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
        self._waiter: asyncio.Future[RawResponse] | None = None
        self._answer: RawResponse | None = None
        self._headers: list[RawHeader] = []
        self._parsed_bytes = 0
        self._missing_bytes: int | None = None
        self._is_complete = False
        self._is_reusable = False
        self._timeouts: TimeoutExtension
        self._until = 0.0
        self._heard_at = 0.0
        self._has_heard = False
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, head: bytes, timeouts: TimeoutExtension, *, until: float) -> asyncio.Future[RawResponse]:
        """Send a request. Whoever stops waiting for the response has to abort the connection.

        The future fails with a `httpx.TransportError` if not even the head of a response came; with a
        `ClosedError` if the connection ended before its first byte.

        Args:
            head: of the request, which is all of it.
            timeouts: with silence.
            until: when the response has to be complete, in the loop's seconds.
        """
        waiter = self._waiter = self._loop.create_future()
        # A new one: trailers and 1xx responses would leave their marks for the next response.
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._headers = None, []
        self._parsed_bytes, self._missing_bytes = 0, None
        self._is_complete = self._has_heard = False
        self._timeouts, self._until = timeouts, until
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
            self._answer = RawResponse(status, [(name, value.rstrip(b" \t")) for name, value in headers])
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

    def _advance(self, answer: RawResponse, *, had_head: bool) -> None:
        if self._is_complete:
            self._end()
        elif answer.body_bytes > self._max_bytes:
            self._end(is_cut=True)
        elif self._is_overhead_too_large(answer):
            self._break_off(OverheadTooLargeError("Chunks or trailers outweigh the body."))
        elif not had_head and (announced_bytes := answer.announced_bytes()) is not None:
            self._missing_bytes = announced_bytes - answer.body_bytes

    def _is_overhead_too_large(self, answer: RawResponse) -> bool:
        overhead_bytes = self._parsed_bytes - answer.body_bytes
        return overhead_bytes > _MAX_OVERHEAD_BYTES + _MAX_OVERHEAD_BYTES_PER_PART * answer.received_parts

    def _take(self, answer: RawResponse, data: bytes, missing_bytes: int) -> None:
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
        silence_seconds = self._timeouts["first_byte" if self._answer is None else "read"]
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


# Servers and what stands before them close idle connections after a minute, or half of one.
_IDLE_SECONDS = 15.0

# How long a connection has to be silent before another caller may have it: while few are open, and once half
# of them are, since many callers would open a new one for each call otherwise.
_SILENT_SECONDS = 1.0
_SILENT_SECONDS_OF_MANY = 0.025

# A name may move: connections are replaced after this time, or up to a tenth earlier, so not all at once.
_MAX_AGE_SECONDS = 60.0
_AGE_JITTER = 0.1

# RFC 8305, section 5.
_NEXT_ADDRESS_SECONDS = 0.25

# Statuses about the connection rather than the request: timed out, for another host, used too early.
_OF_THE_CONNECTION = frozenset({408, 421, 425})


def _trust_the_usual() -> ssl.SSLContext:
    """Certifi's authorities, whatever the environment says."""
    return httpx.create_ssl_context(trust_env=False)


class Pool:
    """Connections to one API.

    Args:
        url: of which scheme, host and port are used.
        max_connections: that are open at a time; other requests wait for their turn.
        max_bytes: of a body.
        trust: says whose certificates are taken; called with the first connection, as it takes its time.
        idle_seconds: after which a connection is not used again.
        silent_seconds: how long it has to be idle before another caller may have it, while few are open.
        max_age_seconds: after which it is not used again, idle or not; up to a tenth less, by chance.
    """

    def __init__(
        self,
        url: httpx.URL,
        *,
        max_connections: int,
        max_bytes: int,
        trust: Callable[[], ssl.SSLContext] = _trust_the_usual,
        idle_seconds: float = _IDLE_SECONDS,
        silent_seconds: float = _SILENT_SECONDS,
        max_age_seconds: float = _MAX_AGE_SECONDS,
    ) -> None:
        self._host = url.host
        self._is_secure = url.scheme == "https"
        self._port = url.port or (443 if self._is_secure else 80)
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._turns = asyncio.Semaphore(max_connections)
        self._in_use = 0
        # Idle connections, the longest idle first; and the same ones by the caller that used them last.
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._idle_of: dict[bytes | None, dict[Connection, None]] = {}
        self._is_closed = False
        self._idle_seconds = idle_seconds
        self._silent_seconds = silent_seconds
        self._max_age_seconds = max_age_seconds
        self._trust = trust
        self._context: ssl.SSLContext | None = None

    async def ask(self, head: bytes, timeouts: TimeoutExtension, *, caller_key: bytes | None) -> RawResponse:
        """Send a request and return the response.

        Where a connection that was used before fails before the first byte of a response, or says that it is
        no good any more, the request goes over a new one at once: that failure says nothing about the API
        (RFC 9112, section 9.3.1).

        Raises:
            httpx.TransportError: there was no response.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeouts["total"]
        await self._take_turn(until)
        try:
            connection = self._take_idle(caller_key) or await self._wait_for_silence(caller_key)
            if connection is not None:
                answer = await self._ask_again(connection, head, timeouts, until)
                if answer is not None:
                    return answer
            connection = await self._connect(timeouts["connect"], until=until)
            connection.owner = caller_key
            return await self._use(connection, head, timeouts, until)
        finally:
            self._in_use -= 1
            self._turns.release()

    def close(self) -> None:
        """Close what is idle, and what is under way once its call has ended."""
        self._is_closed = True
        while self._idle:
            self._drop(next(iter(self._idle)))

    async def _take_turn(self, until: float) -> None:
        if not self._turns.locked():
            # At once, and so without a timer, which costs more.
            await self._turns.acquire()
        else:
            try:
                async with asyncio.timeout_at(until):
                    await self._turns.acquire()
            except TimeoutError as exc:
                raise httpx.PoolTimeout("Its turn did not come in time.") from exc
        self._in_use += 1

    async def _ask_again(
        self, connection: Connection, head: bytes, timeouts: TimeoutExtension, until: float
    ) -> RawResponse | None:
        """Return the response over a connection that was used before, or `None` if it has to be replaced."""
        try:
            answer = await self._use(connection, head, timeouts, until)
        except ClosedError:
            return None
        if answer.status not in _OF_THE_CONNECTION:
            return answer
        if connection in self._idle:
            self._drop(connection)
        return None

    async def _use(
        self, connection: Connection, head: bytes, timeouts: TimeoutExtension, until: float
    ) -> RawResponse:
        try:
            answer = await connection.ask(head, timeouts, until=until)
        except BaseException:
            # Failed or cancelled: whatever it still brings is nobody's response.
            connection.abort()
            raise
        if self._is_closed:
            connection.abort()
        elif connection.is_open:
            self._put_idle(connection)
        return answer

    def _put_idle(self, connection: Connection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle[connection] = None
        self._idle_of.setdefault(connection.owner, {})[connection] = None

    def _take_idle(self, caller_key: bytes | None) -> Connection | None:
        """Return a connection that may be used again by this caller, or `None`."""
        now = asyncio.get_running_loop().time()
        self._drop_old(now)
        while (connection := self._candidate(caller_key, now)) is not None:
            self._forget(connection)
            if now < connection.retire_at and connection.is_quiet():
                connection.owner = caller_key
                return connection
            connection.abort()
        return None

    async def _wait_for_silence(self, caller_key: bytes | None) -> Connection | None:
        """Return another caller's connection, if all that there may be are open; else `None`.

        To wait for its silence takes less time than to open a new one in its place.
        """
        if not self._idle or self._in_use + len(self._idle) <= self._max_connections:
            return None
        silent_at = next(iter(self._idle)).idle_since + _SILENT_SECONDS_OF_MANY
        await asyncio.sleep(silent_at - asyncio.get_running_loop().time())
        return self._take_idle(caller_key)

    def _candidate(self, caller_key: bytes | None, now: float) -> Connection | None:
        own = self._idle_of.get(caller_key)
        if own:
            return next(reversed(own))
        longest_idle = next(iter(self._idle), None)
        if longest_idle is None:
            return None
        are_few = 2 * (self._in_use + len(self._idle)) <= self._max_connections
        silent_seconds = self._silent_seconds if are_few else _SILENT_SECONDS_OF_MANY
        return longest_idle if now - longest_idle.idle_since >= silent_seconds else None

    def _drop_old(self, now: float) -> None:
        while self._idle:
            connection = next(iter(self._idle))
            if now - connection.idle_since < self._idle_seconds:
                return
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.abort()

    def _forget_closed(self, connection: Connection) -> None:
        if connection in self._idle:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._idle[connection]
        own = self._idle_of[connection.owner]
        del own[connection]
        if not own:
            del self._idle_of[connection.owner]

    async def _connect(self, seconds: float, *, until: float) -> Connection:
        # This request's own connection is among those in use.
        while self._idle and self._in_use + len(self._idle) > self._max_connections:
            self._drop(next(iter(self._idle)))
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + seconds, until)):
                return await self._open()
        except TimeoutError as exc:
            if until < now + seconds:
                raise TotalTimeoutError("no time left for a connection") from exc
            raise httpx.ConnectTimeout("no connection in time") from exc
        # A name that cannot be one is no OSError.
        except (OSError, UnicodeError) as exc:
            raise httpx.ConnectError("no connection") from exc

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
        )
        age_seconds = self._max_age_seconds * random.uniform(1 - _AGE_JITTER, 1)  # noqa: S311  # no secret
        retire_at = loop.time() + age_seconds
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(
                    max_bytes=self._max_bytes, retire_at=retire_at, on_closed=self._forget_closed
                ),
                sock=connected,
                ssl=self._tls() if self._is_secure else None,
                server_hostname=self._host if self._is_secure else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection

    def _tls(self) -> ssl.SSLContext:
        self._context = self._context or self._trust()
        return self._context


# What would end a header, or the head (RFC 9110, section 5.5).
_DANGEROUS = re.compile(rb"[\r\n\0]")


def make_transport(base_url: str, *, max_connections: int, max_bytes: int) -> httpx.AsyncBaseTransport:
    """For GET requests to one endpoint.

    Args:
        base_url: where the requests go, whatever their own URLs say.
        max_connections: at a time; other requests wait for their turn.
        max_bytes: the largest body that is read.
    """
    return _Transport(Pool(httpx.URL(base_url), max_connections=max_connections, max_bytes=max_bytes))


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.ask(
            _head(request), request.extensions["timeout"], caller_key=request.extensions.get("caller_key")
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Stream(answer), request=request)

    async def aclose(self) -> None:
        self._pool.close()


class _Stream(httpx.AsyncByteStream):
    """The body as it came, and then why it broke off, if it did."""

    def __init__(self, answer: RawResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._answer.parts:
            yield bytes(part)
        if self._answer.error is not None:
            raise self._answer.error


def _head(request: httpx.Request) -> bytes:
    """Raises: httpx.LocalProtocolError: a header would be more than one."""
    fields = [b"%b: %b" % header for header in request.headers.raw]
    if any(map(_DANGEROUS.search, fields)):
        raise httpx.LocalProtocolError("a header has a control character in it")
    return b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (request.url.raw_path, b"\r\n".join(fields))
