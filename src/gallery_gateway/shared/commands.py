"""Commands to Redis or Valkey, each waited for so long and no longer.

Whatever is wrong with the server costs one short wait: it is then left alone for a moment, and each process
is as good as alone. Nothing of it is ever an error to a client.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from gallery_gateway.shared.pages import StoreError
from gallery_gateway.telemetry.logs import log_event

# One event loop has no use for more, and a burst that opens them all takes its time.
_MAX_CONNECTIONS = 16

# For connections on which there is no hurry, and for the first one of all.
_CONNECT_SECONDS = 5.0
_OPEN_SECONDS = 1.0

# For so long after a failure nobody waits for the server; then one command tries it.
_REST_SECONDS = 1.0

# Less than the rest, so that what was left behind is closed when the server is tried again.
_LEAST_SOCKET_SECONDS = 0.9


class Commands:
    """A client that gives up early.

    Args:
        url: of Redis or Valkey, as redis-py reads it.
        timeout_seconds: the longest that anybody waits for one answer.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._redis = connect(url, timeout_seconds=timeout_seconds)
        self._scripts: dict[str, AsyncScript] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._rests_until = 0.0
        self.is_available = True

    async def open(self, scripts: Sequence[str]) -> None:
        """Connects and sends the scripts, so that no question pays for it; nothing if the server is gone."""

        async def greet(redis: Redis) -> None:
            for script in scripts:
                await redis.script_load(script)

        with suppress(StoreError):
            await self.ask(greet, timeout_seconds=max(_OPEN_SECONDS, self._timeout_seconds))

    def patient_client(self) -> Redis:
        """Of the same server, whose commands may wait for ever; whoever asked for it closes it."""
        return connect(self._url, timeout_seconds=None)

    async def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> Any:
        """Raises: StoreError: there is no answer, or a refusal."""
        registered = self._scripts.get(script)
        if registered is None:
            registered = self._scripts[script] = self._redis.register_script(script)
        return await self.ask(lambda _redis: registered(keys=keys, args=arguments))

    async def ask(
        self, command: Callable[[Redis], Awaitable[Any]], *, timeout_seconds: float | None = None
    ) -> Any:
        """By default within the usual time. Raises: StoreError: there is no answer, or a refusal."""
        loop = asyncio.get_running_loop()
        if not self.is_available:
            if loop.time() < self._rests_until:
                raise StoreError("resting")
            # This one tries it; whoever comes meanwhile does not wait.
            self._rests_until = loop.time() + _REST_SECONDS
        # In a task that nobody cancels: a connection that a cancelled command leaves behind would give the
        # command's answer to whoever asks next. Its own timeout closes the connection.
        task = asyncio.ensure_future(_awaited(command, self._redis))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            return await _in_time(task, timeout_seconds or self._timeout_seconds)
        except ResponseError as exc:
            # It is there, and refuses: it has no room, or is a replica.
            raise StoreError("refused") from exc
        except (RedisError, OSError, TimeoutError) as exc:
            self._fail(exc)
            raise StoreError("unavailable") from exc

    async def aclose(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._redis.aclose()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        # To ask for the error marks it as seen: its waiter may have left before. Likewise an answer may come
        # too late, but it says that the server is there.
        if not task.cancelled() and task.exception() is None:
            self._recover()

    def _fail(self, exc: Exception) -> None:
        if self.is_available:
            log_event("shared_cache.lost", reason=type(exc).__name__)
        self.is_available = False
        self._rests_until = asyncio.get_running_loop().time() + _REST_SECONDS

    def _recover(self) -> None:
        if not self.is_available:
            log_event("shared_cache.found")
        self.is_available = True


def connect(url: str, *, timeout_seconds: float | None) -> Redis:
    """A client without retries of its own; None = commands may wait for ever."""
    # Of a connection, not of whoever waits: a late answer is read, and keeps the connection of use.
    socket_seconds = None if timeout_seconds is None else max(2 * timeout_seconds, _LEAST_SOCKET_SECONDS)
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=socket_seconds,
        socket_timeout=socket_seconds,
        socket_connect_timeout=socket_seconds or _CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        client_name="gallery-gateway",
    )
    return Redis.from_pool(pool)


async def _in_time(task: asyncio.Task[Any], timeout_seconds: float) -> Any:
    """Its result; for as long as this process itself was late it waits once more.

    Raises:
        TimeoutError: it takes longer.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_seconds
    await asyncio.wait({task}, timeout=timeout_seconds)
    if not task.done():
        await asyncio.wait({task}, timeout=max(0.0, loop.time() - until))
    if not task.done():
        raise TimeoutError
    return task.result()


async def _awaited(command: Callable[[Redis], Awaitable[Any]], redis: Redis) -> Any:
    return await command(redis)
