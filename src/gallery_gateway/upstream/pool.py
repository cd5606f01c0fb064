"""The connections to the endpoint: so many at a time, and what is idle is used again for a while."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

import aiohappyeyeballs
import httpx

from gallery_gateway.upstream.answer import Answer, Patience
from gallery_gateway.upstream.connection import Connection

# Endpoints and what stands before them close what is idle after a minute, or half of one.
_IDLE_SECONDS = 15.0

# RFC 8305, section 5.
_NEXT_ADDRESS_SECONDS = 0.25


def _trust_the_usual() -> ssl.SSLContext:
    """Certifi's authorities, whatever the environment says."""
    return httpx.create_ssl_context(trust_env=False)


class Pool:
    """To one endpoint.

    Args:
        url: of which scheme, host and port are used.
        max_connections: other requests wait for their turn.
        max_bytes: of a body.
        trust: says whose certificates are taken; called with the first connection, as it takes its time.
        idle_seconds: after which a connection is not used again.
    """

    def __init__(
        self,
        url: httpx.URL,
        *,
        max_connections: int,
        max_bytes: int,
        trust: Callable[[], ssl.SSLContext] = _trust_the_usual,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._host = url.host
        self._is_secure = url.scheme == "https"
        self._port = url.port or (443 if self._is_secure else 80)
        self._max_bytes = max_bytes
        self._turns = asyncio.Semaphore(max_connections)
        self._idle: deque[tuple[float, Connection]] = deque()
        self._idle_seconds = idle_seconds
        self._trust = trust
        self._context: ssl.SSLContext | None = None

    async def ask(self, head: bytes, patience: Patience) -> Answer:
        """Raises: httpx.TransportError: there was no answer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience["total"]
        await self._take_turn(until)
        try:
            connection = self._idle_connection()
            if connection is None:
                connection = await self._connect(min(patience["connect"], until - loop.time()))
            return await self._use(connection, head, patience, until)
        finally:
            self._turns.release()

    async def _take_turn(self, until: float) -> None:
        if not self._turns.locked():
            # At once, and so without a timer, which costs more.
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout_at(until):
                await self._turns.acquire()
        except TimeoutError as exc:
            raise httpx.PoolTimeout("Its turn did not come in time.") from exc

    async def _use(self, connection: Connection, head: bytes, patience: Patience, until: float) -> Answer:
        answer = None
        try:
            answer = await connection.ask(head, patience, until=until)
        finally:
            if answer is None:
                # Nobody waits for it any more.
                connection.abort()
            elif connection.is_open:
                self._idle.append((asyncio.get_running_loop().time(), connection))
        return answer

    def close(self) -> None:
        """What is under way ends with whoever waits for it."""
        while self._idle:
            self._idle.pop()[1].abort()

    def _idle_connection(self) -> Connection | None:
        """The last that was used, and not so long ago that the other side may be about to close it."""
        oldest = asyncio.get_running_loop().time() - self._idle_seconds
        while self._idle and (self._idle[0][0] < oldest or not self._idle[0][1].is_open):
            self._idle.popleft()[1].abort()
        while self._idle:
            connection = self._idle.pop()[1]
            if connection.is_open:
                return connection
        return None

    async def _connect(self, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await self._open()
        except TimeoutError as exc:
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
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(max_bytes=self._max_bytes),
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
