"""HTTP/1.1 to one REST API.

`docs/decisions/http-client.md` says why no library does this. It has no cookies, redirects or netrc, and no
proxy of the environment, which could come between the tokens of two callers. Its errors are those of httpx.

Responses are read by RFC 9112. The parser is llhttp, by httptools, as in uvicorn. A body of known length
bypasses the parser.

In HTTP/1.1, bytes that arrive after a request are its response, even if the server sent them for another
reason. A server that sends too much could show one caller the data of another. Therefore connections rarely
change hands: a caller gets the connection that it used last, or else one that has been silent for a while, or
else a new one.
"""

import asyncio
import math
import random
import select
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

import aiohappyeyeballs
import httptools
import httpx

if TYPE_CHECKING:
    from gallery_gateway.upstream.proxy import Proxy


class FirstByteTimeoutError(httpx.ReadTimeout):
    """No response began in time."""


class TotalTimeoutError(httpx.ReadTimeout):
    """The call as a whole took too long."""


class ClosedError(httpx.ReadError):
    """The connection ended before the first byte of a response."""


class HeadTooLargeError(httpx.RemoteProtocolError):
    """The head of a response has too many bytes or headers."""


class OverheadTooLargeError(httpx.RemoteProtocolError):
    """Bytes that are not part of the body outweigh it."""


class ProxyUnreachableError(httpx.ProxyError):
    """There is no connection to the proxy."""


class ProxyCredentialsError(httpx.ProxyError):
    """The proxy wants other credentials."""


class TunnelRefusedError(httpx.ProxyError):
    """The proxy does not allow a tunnel to the REST API."""


RawHeader = tuple[bytes, bytes]


class Timeouts(TypedDict):
    """The `timeout` extension of a request, in seconds.

    `connect` is the time to open a connection, `first_byte` the longest silence before the response, `read`
    the longest silence within it, and `total` the time for the call as a whole.
    """

    connect: float
    first_byte: float
    read: float
    total: float


# Parts smaller than the first size are joined up to the second: an object for each would outweigh the body.
_SMALL_PART_BYTES = 4096
_JOINED_PART_BYTES = 64 * 1024


@dataclass(slots=True)
class RawResponse:
    """A response as it was received; iterating over it gives the parts of its body, once.

    Args:
        headers: with names in lower case and without trailers.
        parts: of the body, still compressed. A body that is too large is cut just above the limit.
        error: why the body is incomplete; the stream ends with it.
        received_parts: number of parts before small ones were joined.
        is_resent: whether the request was sent a second time, over a new connection.
    """

    status: int
    headers: list[RawHeader]
    parts: list[bytes | bytearray] = field(default_factory=list)
    error: httpx.TransportError | None = None
    body_bytes: int = 0
    received_parts: int = 0
    is_resent: bool = False

    def __iter__(self) -> Iterator[bytes]:
        # Parts that were read are freed, so that a large body is not held twice while it is decoded.
        self.parts.reverse()
        while self.parts:
            yield bytes(self.parts.pop())
        if self.error is not None:
            raise self.error

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

    def is_ended_by_close(self) -> bool:
        """Return whether only the end of the connection ends the body (RFC 9112, section 6.3)."""
        names = {name for name, _ in self.headers}
        return names.isdisjoint({b"content-length", b"transfer-encoding"})


# Status line, headers and preceding 1xx responses. No honest server sends as much.
_MAX_HEAD_BYTES = 64 * 1024
_MAX_HEADERS = 1_000

# Trailers, and the size and extensions of each chunk.
_MAX_OVERHEAD_BYTES = 128 * 1024
_MAX_OVERHEAD_BYTES_PER_PART = 32

# Each chunk costs time. Beyond this number, chunks must have this average size.
_FREE_PARTS = 16_384
_MIN_BYTES_PER_PART = 64

_VERSIONS = frozenset({"1.0", "1.1"})

# The digits of 2^64. The parser refuses larger numbers, but accepts any number of leading zeros.
_MAX_LENGTH_DIGITS = 20


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time, and may carry the next one while `is_open`.

    Args:
        max_bytes: of a body; a larger one is not read to its end.
        retire_at: when the connection becomes too old for another request, in the loop's seconds.
        on_closed: called with the connection when it has ended.

    The pool sets `owner`, the caller of the last request, and `idle_since`, when that request ended.
    """

    def __init__(
        self, *, max_bytes: int, retire_at: float, on_closed: "Callable[[Connection], None]"
    ) -> None:
        self.is_open = False
        self.retire_at = retire_at
        self.owner: bytes | None = None
        self.idle_since = 0.0
        self._on_closed = on_closed
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._poll: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # State of the current request; `send` sets the rest of it.
        self._waiter: asyncio.Future[RawResponse] | None = None
        self._response: RawResponse | None = None
        self._has_received = False

    def send(self, head: bytes, timeouts: Timeouts, *, until: float) -> asyncio.Future[RawResponse]:
        """Send a request. A caller that stops waiting for the response must abort the connection.

        The future fails with a `httpx.TransportError` if there is no complete head of a response, and with a
        `ClosedError` if the connection ended before the first byte.

        Args:
            head: the complete request.
            timeouts: for silence.
            until: when the response has to be complete, in the loop's seconds.
        """
        waiter = self._waiter = self._loop.create_future()
        # A new parser: trailers and 1xx responses leave marks in the old one.
        self._parser = httptools.HttpResponseParser(self)
        self._response = None
        self._headers: list[RawHeader] = []
        self._parsed_bytes = 0
        self._missing_bytes: int | None = None
        self._is_complete = self._is_reusable = self._has_received = False
        self._timeouts, self._until = timeouts, until
        self._received_at = self._loop.time()
        self._watch()
        self._transport.write(head)
        return waiter

    def is_quiet(self) -> bool:
        """Return whether the connection is open and the kernel holds no unread byte of it."""
        if self._poll is None:
            self._poll = poll_of(self._transport.get_extra_info("socket"))
        return self.is_open and not self._poll()

    def tls(self) -> tuple[str, Mapping[str, Any]] | None:
        """Return the version of TLS and the server's certificate as `ssl` shows it; `None` without TLS."""
        ssl_object = self._transport.get_extra_info("ssl_object")
        return None if ssl_object is None else (ssl_object.version(), ssl_object.getpeercert())

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has the methods of asyncio.Transport, but is not a subclass.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._on_closed(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._response is not None and exc is None and self._response.is_ended_by_close():
            self._end()
            return
        kind = httpx.ReadError if self._has_received else ClosedError
        error = kind("The connection ended before the response did.")
        error.__cause__ = exc
        self._fail(error)

    def data_received(self, data: bytes) -> None:
        self._received_at = self._loop.time()
        self._has_received = True
        if self._waiter is None:
            # No request is under way. These bytes must not become the next response.
            self.abort()
        elif self._response is not None and self._missing_bytes is not None:
            self._take(self._response, data, self._missing_bytes)
        else:
            self._parse(data)

    # Callbacks of the parser. Bytes may hold several responses; only the first belongs to the request.

    def on_message_begin(self) -> None:
        if self._is_complete:
            self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is not None:
            return
        if len(self._headers) == _MAX_HEADERS:
            raise HeadTooLargeError("The response has too many headers.")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._response is not None:
            return
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        headers, self._headers = self._headers, []
        _check_framing(version, status, headers)
        # The final response follows a 1xx, except for this one.
        if status >= 200 or status == 101:
            # The parser keeps white space after a value (RFC 9110, section 5.5).
            self._response = RawResponse(status, [(name, value.rstrip(b" \t")) for name, value in headers])
            # Implementations disagree on "close" beside "keep-alive", and on the end of chunks, in HTTP/1.0
            # (RFC 9112, sections 6.1 and 9.3).
            self._is_reusable = version == "1.1" and self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        response = self._response
        if response is None or self._is_complete:
            return
        response.add(body)
        if response.received_parts > _FREE_PARTS + response.body_bytes // _MIN_BYTES_PER_PART:
            raise OverheadTooLargeError("The body has too many parts.")

    def on_message_complete(self) -> None:
        self._is_complete = self._response is not None

    def _parse(self, data: bytes) -> None:
        had_head = self._response is not None
        self._parsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_complete, self._is_reusable = True, False
        except httptools.HttpParserError as exc:
            if not self._is_complete:
                self._fail(_parse_error(exc))
                return
            # Only the bytes after the response are not HTTP.
            self._is_reusable = False
        if not had_head and self._is_head_too_large():
            self._response = None
            self._fail(HeadTooLargeError("The head of the response is too large."))
        elif self._response is not None:
            self._advance(self._response, had_head=had_head)

    def _is_head_too_large(self) -> bool:
        if self._parsed_bytes <= _MAX_HEAD_BYTES:
            return False
        # Some of these bytes may be the body.
        return self._response is None or sum(map(len, chain(*self._response.headers))) > _MAX_HEAD_BYTES

    def _advance(self, response: RawResponse, *, had_head: bool) -> None:
        overhead_bytes = self._parsed_bytes - response.body_bytes
        max_overhead_bytes = _MAX_OVERHEAD_BYTES + _MAX_OVERHEAD_BYTES_PER_PART * response.received_parts
        if self._is_complete:
            self._end()
        elif response.body_bytes > self._max_bytes:
            self._end(is_cut=True)
        elif overhead_bytes > max_overhead_bytes:
            self._fail(OverheadTooLargeError("Chunks or trailers outweigh the body."))
        elif not had_head:
            # From here on another timeout holds, which may be the shorter one.
            self._watch()
            for name, value in response.headers:
                if name == b"content-length":
                    self._missing_bytes = int(value) - response.body_bytes

    def _take(self, response: RawResponse, data: bytes, missing_bytes: int) -> None:
        response.add(data[:missing_bytes])
        self._missing_bytes = max(0, missing_bytes - len(data))
        if len(data) >= missing_bytes:
            # Bytes after the response belong to no request.
            self._is_reusable = self._is_reusable and len(data) == missing_bytes
            self._end()
        elif response.body_bytes > self._max_bytes:
            self._end(is_cut=True)

    def _end(self, *, is_cut: bool = False) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and self._response is not None and not waiter.done():
            waiter.set_result(self._response)
        if is_cut or not self._is_reusable:
            self.abort()

    def _fail(self, error: httpx.TransportError) -> None:
        waiter, self._waiter = self._waiter, None
        # Without a waiter, the response was delivered already, and is complete.
        if waiter is not None and not waiter.done():
            if self._response is None:
                waiter.set_exception(error)
            else:
                self._response.error = error
                waiter.set_result(self._response)
        self.abort()

    def _watch(self) -> None:
        """Set the timer for the next possible timeout.

        One timer serves many requests: a timer for each costs as much as parsing a small response.
        """
        due_at = self._due_at()
        if self._timer is not None and self._timer.when() <= due_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due_at, self._check_timeouts)

    def _due_at(self) -> float:
        silence_seconds = self._timeouts["first_byte" if self._response is None else "read"]
        return min(self._received_at + silence_seconds, self._until)

    def _check_timeouts(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        now = self._loop.time()
        if now < self._due_at():
            self._watch()
        elif now >= self._until:
            self._fail(TotalTimeoutError("The call took too long."))
        elif self._response is None:
            self._fail(FirstByteTimeoutError("The response did not begin in time."))
        else:
            self._fail(httpx.ReadTimeout("The response paused for too long."))


def _check_framing(version: str, status: int, headers: list[RawHeader]) -> None:
    """Refuse framing that the parser accepts and that other implementations may read differently.

    The parser itself refuses two lengths, a length beside a transfer coding, and misplaced white space and
    line ends.

    Raises:
        httpx.RemoteProtocolError: another implementation might see the end of this response elsewhere.
    """
    if version not in _VERSIONS or status < 100:
        raise httpx.RemoteProtocolError("The response has an unknown version or status.")
    codings = []
    for name, value in headers:
        if name == b"transfer-encoding":
            # The parser does not recognise "chunked" with a tab after it.
            codings.append(value.lower().rstrip(b" "))
        elif name == b"content-length" and len(value) > _MAX_LENGTH_DIGITS:
            raise httpx.RemoteProtocolError("The length of the response has too many digits.")
    if codings and codings != [b"chunked"]:
        raise httpx.RemoteProtocolError("The response has a transfer coding other than chunked.")


def _parse_error(exc: httptools.HttpParserError) -> httpx.TransportError:
    """Return the error that a callback raised, or else that of the parser."""
    raised = exc.__context__
    if isinstance(raised, httpx.TransportError):
        return raised
    return httpx.RemoteProtocolError(f"The response is not HTTP: {exc}")


def poll_of(connected: socket.socket) -> Callable[[], object]:
    """Return a function that says whether the socket is readable, has ended or has failed."""
    if not hasattr(select, "poll"):
        return lambda: select.select([connected], [], [], 0)[0]
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return partial(poll.poll, 0)


# Servers and proxies close idle connections after 30 or 60 seconds.
_IDLE_SECONDS = 15.0

# How long a connection must be silent before another caller may use it. The shorter time holds once half of
# the connections are open, because many callers would open one for each call otherwise.
_SILENT_SECONDS = 1.0
_SILENT_SECONDS_WHEN_BUSY = 0.025

# DNS names may move. Connections are replaced after this time, or up to a tenth earlier, so not all at once.
_MAX_AGE_SECONDS = 60.0
_AGE_JITTER = 0.1

# RFC 8305, section 5.
_NEXT_ADDRESS_SECONDS = 0.25

# Statuses about the connection instead of the request: timed out, misdirected, too early.
_CONNECTION_STATUSES = frozenset({408, 421, 425})


def create_ssl_context(
    ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """Return a context that trusts certifi's authorities, whatever the environment says.

    Args:
        ca_file: further authorities, in PEM. Many private ones violate formalities of RFC 5280 that Python
            checks since 3.13 (urllib3/urllib3#3665), so this turns the check off.
        cert_file: the client certificate, and the intermediate ones, in PEM.
        key_file: its private key; by default it is in `cert_file`.

    Raises:
        OSError: a file cannot be read or used; an `ssl.SSLError` is one.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        # Trust an intermediate authority without its root, as Python does since 3.13.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if cert_file is not None:
        # OpenSSL would ask for the password of an encrypted key on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    return context


def port_of(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


class Pool:
    """The connections to one REST API, for GET requests.

    Args:
        base_url: its scheme, host and port are used for all requests.
        max_connections: open at a time; other requests wait.
        max_bytes: of a body.
        ssl_context: by default that of `create_ssl_context`, whatever the environment says.
        proxy: through which all connections go; by default none, whatever the environment says.
        idle_seconds: after which a connection is not used again.
        silent_seconds: how long it must be idle before another caller may use it, while few are open.
        max_age_seconds: after which it is not used again; a random tenth less.

    `opened` counts the connections that were opened.
    """

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int,
        max_bytes: int,
        ssl_context: ssl.SSLContext | None = None,
        proxy: "Proxy | None" = None,
        idle_seconds: float = _IDLE_SECONDS,
        silent_seconds: float = _SILENT_SECONDS,
        max_age_seconds: float = _MAX_AGE_SECONDS,
    ) -> None:
        url = self._url = httpx.URL(base_url)
        self._proxy = proxy
        self._host, self._port = (proxy.host, proxy.port) if proxy else (url.host, port_of(url))
        self._ssl = (ssl_context or create_ssl_context()) if url.scheme == "https" else None
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._semaphore = asyncio.Semaphore(max_connections)
        self._in_use = 0
        # Idle connections, the longest idle first; and the same ones by their last caller.
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._idle_by_owner: dict[bytes | None, dict[Connection, None]] = {}
        self._is_closed = False
        self.opened = 0
        self._idle_seconds = idle_seconds
        self._silent_seconds = silent_seconds
        self._max_age_seconds = max_age_seconds

    async def get(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        """Send a GET request for `target`, a path and query, with these headers alone; see `send`."""
        return await self.send(request_head(target, headers), timeouts, caller_key=caller_key)

    async def send(self, head: bytes, timeouts: Timeouts, *, caller_key: bytes | None) -> RawResponse:
        """Send a request and return the response.

        If a connection that was used before fails before the first byte of a response, or its response is
        about the connection, the request is sent again, once, over a new one: such a failure says nothing
        about the API (RFC 9112, section 9.3.1).

        Raises:
            httpx.TransportError: there was no response; the error has `is_resent` too.
        """
        until = asyncio.get_running_loop().time() + timeouts["total"]
        await self._acquire(until)
        try:
            connection = self._take_idle(caller_key) or await self._wait_for_silence(caller_key)
            is_resent = connection is not None
            if connection is not None:
                try:
                    response = await self._send_over(connection, head, timeouts, until)
                except ClosedError:
                    pass
                else:
                    if response.status not in _CONNECTION_STATUSES:
                        return response
                    if connection in self._idle:
                        self._drop(connection)
            connection = await self._connect(timeouts["connect"], until=until)
            connection.owner = caller_key
            try:
                response = await self._send_over(connection, head, timeouts, until)
            except httpx.TransportError as exc:
                exc.is_resent = is_resent  # type: ignore[attr-defined]
                raise
            response.is_resent = is_resent
            return response
        finally:
            self._in_use -= 1
            self._semaphore.release()

    async def connect(self, timeouts: Timeouts) -> Connection:
        """Return a connection outside the pool, which the caller aborts.

        Raises:
            httpx.TransportError: there is no connection.
        """
        return await self._connect(timeouts["connect"], until=math.inf)

    async def aclose(self) -> None:
        """Close idle connections now, and the others once their call has ended."""
        self._is_closed = True
        while self._idle:
            self._drop(next(iter(self._idle)))

    async def _acquire(self, until: float) -> None:
        if not self._semaphore.locked():
            # Without a timer, which costs more than the rest.
            await self._semaphore.acquire()
        else:
            try:
                async with asyncio.timeout_at(until):
                    await self._semaphore.acquire()
            except TimeoutError as exc:
                raise httpx.PoolTimeout("No connection became free in time.") from exc
        self._in_use += 1

    async def _send_over(
        self, connection: Connection, head: bytes, timeouts: Timeouts, until: float
    ) -> RawResponse:
        try:
            response = await connection.send(head, timeouts, until=until)
        except BaseException:
            # Failed or cancelled: later bytes of this connection must not become another response.
            connection.abort()
            raise
        if self._is_closed:
            connection.abort()
        elif connection.is_open:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[connection] = None
            self._idle_by_owner.setdefault(connection.owner, {})[connection] = None
        return response

    def _take_idle(self, caller_key: bytes | None) -> Connection | None:
        """Return an idle connection that this caller may use, or `None`."""
        now = asyncio.get_running_loop().time()
        while self._idle and now - (oldest := next(iter(self._idle))).idle_since >= self._idle_seconds:
            self._drop(oldest)
        while (connection := self._candidate(caller_key, now)) is not None:
            self._forget(connection)
            if now < connection.retire_at and connection.is_quiet():
                connection.owner = caller_key
                return connection
            connection.abort()
        return None

    async def _wait_for_silence(self, caller_key: bytes | None) -> Connection | None:
        """Return another caller's connection if the maximum is open, or `None`.

        Waiting for silence takes less time than opening a connection.
        """
        if not self._idle or self._in_use + len(self._idle) <= self._max_connections:
            return None
        silent_at = next(iter(self._idle)).idle_since + _SILENT_SECONDS_WHEN_BUSY
        await asyncio.sleep(silent_at - asyncio.get_running_loop().time())
        return self._take_idle(caller_key)

    def _candidate(self, caller_key: bytes | None, now: float) -> Connection | None:
        own = self._idle_by_owner.get(caller_key)
        if own:
            return next(reversed(own))
        longest_idle = next(iter(self._idle), None)
        if longest_idle is None:
            return None
        are_few = 2 * (self._in_use + len(self._idle)) <= self._max_connections
        silent_seconds = self._silent_seconds if are_few else _SILENT_SECONDS_WHEN_BUSY
        return longest_idle if now - longest_idle.idle_since >= silent_seconds else None

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.abort()

    def _forget(self, connection: Connection) -> None:
        """Remove a connection from the idle ones, if it is one of them."""
        if connection not in self._idle:
            return
        del self._idle[connection]
        own = self._idle_by_owner[connection.owner]
        del own[connection]
        if not own:
            del self._idle_by_owner[connection.owner]

    async def _connect(self, seconds: float, *, until: float) -> Connection:
        # The connection of this request counts as one in use.
        while self._idle and self._in_use + len(self._idle) > self._max_connections:
            self._drop(next(iter(self._idle)))
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + seconds, until)):
                return await self._open()
        except TimeoutError as exc:
            if until < now + seconds:
                raise TotalTimeoutError("There is no time left for a connection.") from exc
            raise httpx.ConnectTimeout("There was no connection in time.") from exc
        # An invalid host name is a UnicodeError.
        except (OSError, UnicodeError) as exc:
            raise httpx.ConnectError("There is no connection.") from exc

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            connected = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
            )
        except (OSError, UnicodeError) as exc:
            if self._proxy is None:
                raise
            raise ProxyUnreachableError("There is no connection to the proxy.") from exc
        age_seconds = self._max_age_seconds * random.uniform(1 - _AGE_JITTER, 1)  # noqa: S311  # not a secret
        retire_at = loop.time() + age_seconds
        try:
            if self._proxy is not None:
                await self._proxy.open_tunnel(connected, self._url)
            _, connection = await loop.create_connection(
                lambda: Connection(max_bytes=self._max_bytes, retire_at=retire_at, on_closed=self._forget),
                sock=connected,
                ssl=self._ssl,
                server_hostname=self._url.host if self._ssl else None,
            )
        except BaseException:
            connected.close()
            raise
        self.opened += 1
        return connection


def request_head(target: bytes, headers: Sequence[RawHeader], *, method: bytes = b"GET") -> bytes:
    """Return the request as bytes.

    Raises:
        httpx.LocalProtocolError: a line holds a character that would end it (RFC 9110, section 5.5).
    """
    lines = [b"%b %b HTTP/1.1" % (method, target), *map(b": ".join, headers), b"", b""]
    head = b"\r\n".join(lines)
    # All lines are checked at once: only the line ends may be among these characters.
    if len(head) - len(head.translate(None, b"\r\n\0")) != 2 * (len(lines) - 1):
        raise httpx.LocalProtocolError("A header holds a control character.")
    return head
