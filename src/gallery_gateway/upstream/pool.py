"""The connections to the API: a number of them at a time, and which request goes over which.

In HTTP/1.1 bytes that arrive after a request has been sent are its response, whoever asked for them. A server
that sends more than it should could show one caller what belongs to another. So connections rarely change
hands: a caller gets its own last one, else one that has been silent for a while, else a new one.
"""

import asyncio
import random
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable

import aiohappyeyeballs
import httpx

from gallery_gateway.upstream.answer import Answer, Patience
from gallery_gateway.upstream.connection import Connection
from gallery_gateway.upstream.reasons import ClosedError, TotalTimeoutError

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

    async def ask(self, head: bytes, patience: Patience, *, caller_key: bytes | None) -> Answer:
        """Send a request and return the response.

        Where a connection that was used before fails before the first byte of a response, or says that it is
        no good any more, the request goes over a new one at once: that failure says nothing about the API
        (RFC 9112, section 9.3.1).

        Raises:
            httpx.TransportError: there was no response.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience["total"]
        await self._take_turn(until)
        try:
            connection = self._take_idle(caller_key) or await self._wait_for_silence(caller_key)
            if connection is not None:
                answer = await self._ask_again(connection, head, patience, until)
                if answer is not None:
                    return answer
            connection = await self._connect(patience["connect"], until=until)
            connection.owner = caller_key
            return await self._use(connection, head, patience, until)
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
        self, connection: Connection, head: bytes, patience: Patience, until: float
    ) -> Answer | None:
        """Return the response over a connection that was used before, or `None` if it has to be replaced."""
        try:
            answer = await self._use(connection, head, patience, until)
        except ClosedError:
            return None
        if answer.status not in _OF_THE_CONNECTION:
            return answer
        if connection in self._idle:
            self._drop(connection)
        return None

    async def _use(self, connection: Connection, head: bytes, patience: Patience, until: float) -> Answer:
        try:
            answer = await connection.ask(head, patience, until=until)
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
