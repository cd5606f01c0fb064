"""A connection to Redis or Valkey, which the gateway can do without at any moment, and its commands."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, ParamSpec, TypeVar

from cachetools import LRUCache
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from gallery_gateway.shared.pages import PURGES, Spot, StoredPage, StoreError, Taken, generation_key
from gallery_gateway.shared.sealing import Seal, WrongPageError, open_page, seal_page
from gallery_gateway.telemetry.logs import log_event

# A local Redis answers in a millisecond. The URL of a distant one says `?socket_timeout=0.2`.
_TIMEOUT_SECONDS = 0.05

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
            Its `socket_timeout` is the longest that anybody waits for one answer, in seconds.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        options: dict[str, Any] = {**parse_url(url)}
        self._timeout_seconds: float = options.get("socket_timeout", _TIMEOUT_SECONDS)
        self._redis = connect(url, timeout_seconds=self._timeout_seconds)
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
    # Not `from_url`, for which the `socket_timeout` of the URL would win over ours.
    options: dict[str, Any] = {
        **parse_url(url),
        "max_connections": _MAX_CONNECTIONS,
        "timeout": socket_seconds,
        "socket_timeout": socket_seconds,
        "socket_connect_timeout": socket_seconds or _CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "gallery-gateway",
    }
    pool = BlockingConnectionPool(**options)
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


# KEYS: page, generation, lock; ARGV: owner, milliseconds of the lock, whether to read past what is there.
# Gives the page, or whether the lock was got; and the generation. Whoever reads past what is there takes the
# lock away from an older call, the answer to which is then not stored over the younger one.
TAKE = """
local generation = redis.call('GET', KEYS[2]) or '0'
if ARGV[3] == '1' then
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
  return {false, 1, generation}
end
local stored = redis.call('GET', KEYS[1])
if stored then
  local colon = string.find(stored, ':', 1, true) or 0
  if colon == 0 or string.sub(stored, 1, colon - 1) == generation then
    return {string.sub(stored, colon + 1), 0, generation}
  end
end
local got = redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2])
return {false, got and 1 or 0, generation}
"""

# KEYS: lock; ARGV: owner, milliseconds of the lock.
HOLD = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
"""

# KEYS: page, generation, lock; ARGV: owner, generation, milliseconds of the page, page (empty: none).
# The lock goes first, so that nobody waits for a page that has no room. Whoever has lost it stores nothing.
GIVE = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[3])
if ARGV[4] ~= '' and (redis.call('GET', KEYS[2]) or '0') == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2] .. ':' .. ARGV[4], 'PX', ARGV[3])
  return 1
end
return 0
"""

# KEYS: generation; ARGV: milliseconds, channel, caller.
PURGE = """
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('PUBLISH', ARGV[2], ARGV[3])
"""

ALL = (TAKE, HOLD, GIVE, PURGE)


_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class PurgeListener:
    """Listens in a task of its own, from `start` to `aclose`.

    Args:
        redis: a client whose commands may wait for ever; the listener owns it.
        on_purge: called with a caller's key.
        on_gap: called when purges may have been missed: whenever it begins to hear them, at first too.
    """

    def __init__(
        self, redis: Redis, *, on_purge: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None:
        self._redis = redis
        self._on_purge = on_purge
        self._on_gap = on_gap
        self._task: asyncio.Task[None] | None = None
        self.is_listening = asyncio.Event()

    def start(self) -> None:
        """Once; further starts change nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen_for_ever())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    async def _listen_for_ever(self) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen()
            except (RedisError, OSError):
                if self.is_listening.is_set():
                    pause_seconds = _FIRST_PAUSE_SECONDS
                self.is_listening.clear()
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Raises: RedisError, OSError: the connection is gone."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(PURGES)
            async with aclosing(channel.listen()) as messages:
                async for message in messages:
                    if message["type"] == "message":
                        self._on_purge(message["data"])
                    elif message["type"] == "subscribe":
                        self._subscribed()

    def _subscribed(self) -> None:
        self.is_listening.set()
        self._on_gap()


# Generations outlive the pages that they are about: no page is fresh for more than a day.
_GENERATION_MILLISECONDS = 2 * 24 * 3600 * 1000

# What is wrong is thrown away, and asked for once more.
_TRIES = 2

_MAX_UNSENT = 10_000

_OPEN_SECONDS = 1.0

_LARGE_BYTES = 256 * 1024

P = ParamSpec("P")
Result = TypeVar("Result")


class PageStore:
    """Redis or Valkey, as `Store` promises.

    Args:
        commands: to the server; closed with the store.
        lock_seconds: for how long a fetch is announced without being announced again.
        max_bytes: the largest page that is stored, or read.
        on_purge: called with the key of a caller whose pages have been purged.
        on_gap: called when purges may have been missed.
    """

    def __init__(
        self,
        commands: Commands,
        *,
        seal: Seal,
        lock_seconds: float,
        max_bytes: int,
        on_purge: Callable[[bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self.lock_seconds = lock_seconds
        self._commands = commands
        self._seal = seal
        self._max_bytes = max_bytes
        # The callers whose purge the server has not heard of; the order is that of their purges.
        self._unsent: LRUCache[bytes, None] = LRUCache(_MAX_UNSENT)
        self._listener = PurgeListener(commands.patient_client(), on_purge=on_purge, on_gap=on_gap)

    @property
    def is_available(self) -> bool:
        return self._commands.is_available

    async def open(self) -> None:
        """Connects, and listens; waits for both for a moment, and does without where the server is gone."""
        await self._commands.open(ALL)
        self._listener.start()
        if self.is_available:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._listener.is_listening.wait(), _OPEN_SECONDS)

    async def take(self, spot: Spot, *, owner: bytes, skips_page: bool = False) -> Taken:
        """The page, or else the right to fetch it, unless another has that.

        Raises:
            StoreError: it could not be asked, or what it gives cannot be read.
        """
        # Where nobody has opened it.
        self._listener.start()
        await self._purge_unsent()
        keys = [spot.page, spot.generation, spot.lock]
        arguments: list[bytes | int] = [owner, self._lock_milliseconds, int(skips_page)]
        for _ in range(_TRIES):
            sealed, got, generation = await self._commands.run(TAKE, keys, arguments)
            if sealed is None:
                return Taken(None, is_ours=bool(got), generation=generation)
            page = await self._opened(sealed, spot)
            if page is not None:
                return Taken(page, is_ours=False, generation=generation)
        raise StoreError("wrong")

    async def hold(self, spot: Spot, *, owner: bytes) -> None:
        """Announces once more that the page is being fetched. Raises: StoreError."""
        await self._commands.run(HOLD, [spot.lock], [owner, self._lock_milliseconds])

    async def give(
        self, spot: Spot, page: StoredPage | None, *, owner: bytes, generation: bytes, seconds: float
    ) -> None:
        """Stores a page for so long, if there is one, and ends the announcement.

        Raises:
            StoreError: it could not be asked, or has no room.
        """
        sealed = b""
        if page is not None and seconds > 0 and len(page.body) <= self._max_bytes:
            sealed = await _in_thread_if_large(len(page.body), seal_page, page, self._seal, key=spot.page)
        keys = [spot.page, spot.generation, spot.lock]
        await self._commands.run(GIVE, keys, [owner, generation, max(1, int(1000 * seconds)), sealed])

    async def purge(self, caller_key: bytes) -> None:
        """Forgets a caller's pages, here and in all processes. Raises: StoreError."""
        caller = caller_key.hex().encode("ascii")
        arguments: list[bytes | int] = [_GENERATION_MILLISECONDS, PURGES, caller_key]
        try:
            await self._commands.run(PURGE, [generation_key(caller)], arguments)
        except StoreError:
            self._unsent[caller_key] = None
            raise
        self._unsent.pop(caller_key, None)

    async def aclose(self) -> None:
        await self._listener.aclose()
        await self._commands.aclose()

    async def _purge_unsent(self) -> None:
        """Nothing is taken before what could not be purged has been. Raises: StoreError."""
        for caller_key in list(self._unsent):
            await self.purge(caller_key)

    async def _opened(self, sealed: bytes, spot: Spot) -> StoredPage | None:
        try:
            return await _in_thread_if_large(
                len(sealed), open_page, sealed, self._seal, key=spot.page, max_bytes=self._max_bytes
            )
        except WrongPageError:
            log_event("shared_page.refused")
            await self._commands.ask(lambda redis: redis.unlink(spot.page))
            return None

    @property
    def _lock_milliseconds(self) -> int:
        return int(1000 * self.lock_seconds)


async def _in_thread_if_large(
    size_bytes: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
) -> Result:
    """Compression and encryption let other threads run, and a thread costs as much as 100 KB of them."""
    if size_bytes <= _LARGE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
