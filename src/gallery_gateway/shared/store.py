"""The pages that processes share in Redis or Valkey; if the server is gone, each process works alone.

One process fetches a page, while a lock makes the others wait for it. A page can be read while its caller has
the generation in which it was claimed. A purge deletes the generation, and is published to all processes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gallery_gateway.shared.pages import PURGES, Claim, PageKeys, StoredPage, StoreError, generation_key
from gallery_gateway.shared.sealing import PageSeal
from gallery_gateway.telemetry.logs import log_event

# A local Redis answers in a millisecond. The URL of a distant one may say `?socket_timeout=0.2`.
_TIMEOUT_SECONDS = 0.05

# Maximum wait for the first connections.
_OPEN_SECONDS = 1.0

# Time after a failure in which no command is sent. Then one command tries the server again.
_REST_SECONDS = 1.0

# Time that other processes wait for a page whose process has died. A live one extends its lock each second.
_LOCK_SECONDS = 3.0

# Some 16,000 images. A larger page is rare, and takes Redis longer than it saves.
_MAX_PAGE_BYTES = 16 * 1024 * 1024

# Callers whose purge is still to be sent. Beyond them, all earlier pages are refused.
_MAX_UNSENT = 10_000

# KEYS: page, lock, generation; ARGV: owner, milliseconds of the lock, 1 to bypass the page.
# Returns the page, or whether the owner got the lock; and the generation. A bypass takes the lock away from
# an older call, whose page then does not replace the newer one. A generation lasts as long as its locks and
# pages. A new one is named after the owner, which gets one lock only.
CLAIM = """
local generation = redis.call('GET', KEYS[3])
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[2])
else
  local stored = redis.call('GET', KEYS[1])
  local colon = stored and (string.find(stored, ':', 1, true) or 0)
  if colon == 0 or colon and string.sub(stored, 1, colon - 1) == generation then
    return {string.sub(stored, colon + 1), 0, generation}
  end
end
local got = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
generation = generation or ARGV[1]
if got then
  redis.call('SET', KEYS[3], generation, 'PX', math.max(redis.call('PTTL', KEYS[3]), tonumber(ARGV[2])))
end
return {false, got and 1 or 0, generation}
"""

# KEYS: lock, generation; ARGV: owner, milliseconds of the lock.
EXTEND = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], math.max(redis.call('PTTL', KEYS[2]), tonumber(ARGV[2])))
end
"""

# KEYS: page, lock, generation; ARGV: owner, generation, milliseconds of the page, page (empty: none).
# The lock is deleted first: if the page does not fit, the others must not wait for it. An owner that has lost
# the lock stores nothing.
RELEASE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return
end
redis.call('DEL', KEYS[2])
if ARGV[4] ~= '' and redis.call('GET', KEYS[3]) == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2] .. ':' .. ARGV[4], 'PX', ARGV[3])
  redis.call('PEXPIRE', KEYS[3], math.max(redis.call('PTTL', KEYS[3]), tonumber(ARGV[3])))
end
"""

# KEYS: generation; ARGV: channel, caller.
PURGE = "redis.call('DEL', KEYS[1]); redis.call('PUBLISH', ARGV[1], ARGV[2])"


class RedisClient:
    """A client that gives up early, and then leaves the server alone for a second.

    Args:
        url: its `socket_timeout` is the maximum wait for an answer, in seconds.

    Raises:
        ValueError: the URL is invalid.
    """

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {**parse_url(url)}
        self._timeout_seconds: float = options.get("socket_timeout", _TIMEOUT_SECONDS)
        # redis-py takes any text for options that are objects, or that change what is sent and read.
        unfit = {"credential_provider", "decode_responses", "encoding", "event_dispatcher", "retry_on_error"}
        if not 0 < self._timeout_seconds <= 60 or options.keys() & {*unfit, "redis_connect_func"}:
            raise ValueError("not an option of a URL")
        self._redis = connect(url, timeout_seconds=self._timeout_seconds)
        self._scripts = {text: self._redis.register_script(text) for text in (CLAIM, EXTEND, RELEASE, PURGE)}
        self._running: set[asyncio.Task[Any]] = set()
        self._rests_until = 0.0
        self.is_available = True

    async def open(self) -> None:
        """Connect and load the scripts, unless the server is gone."""
        with suppress(StoreError):
            for text in self._scripts:
                load = partial(self._redis.script_load, text)
                await self._send(load, seconds=max(_OPEN_SECONDS, self._timeout_seconds))
        self._running.add(asyncio.create_task(self._ping_forever()))

    async def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> Any:
        """Raises: StoreError: the server did not answer in time, or refused."""
        registered = self._scripts[script]
        return await self._send(lambda: registered(keys=keys, args=arguments))

    async def delete(self, key: bytes) -> None:
        """Raises: StoreError: the server did not answer in time, or refused."""
        await self._send(lambda: self._redis.unlink(key))

    async def aclose(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._redis.aclose()

    async def _ping_forever(self) -> None:
        """Notice on an idle process too that the server is gone, or back."""
        while True:
            await asyncio.sleep(3 * _REST_SECONDS if self.is_available else _REST_SECONDS)
            with suppress(StoreError):
                await self._send(self._redis.ping)

    async def _send(self, command: Callable[[], Awaitable[Any]], *, seconds: float | None = None) -> Any:
        loop = asyncio.get_running_loop()
        if not self.is_available:
            if loop.time() < self._rests_until:
                raise StoreError("resting")
            # This command tries the server; the others do not wait for it.
            self._rests_until = loop.time() + _REST_SECONDS
        # In a task that is never cancelled: a cancelled command would leave its answer to the next command of
        # the connection. The timeout of the connection ends it.
        task = asyncio.ensure_future(command())
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await _in_time(task, seconds or self._timeout_seconds)
        except ResponseError as exc:
            # The server is there, but is full or a replica.
            raise StoreError("refused") from exc
        except (RedisError, OSError, TimeoutError) as exc:
            if self.is_available:
                log_event("shared_cache.lost", level=logging.WARNING, reason=type(exc).__name__)
            self.is_available = False
            self._rests_until = loop.time() + _REST_SECONDS
            raise StoreError("unavailable") from exc

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        # `exception()` also marks an error as seen, whose waiter may have left. An answer that comes too late
        # still shows that the server is there, and so does a refusal.
        if not task.cancelled() and isinstance(task.exception(), ResponseError | None):
            if not self.is_available:
                log_event("shared_cache.found")
            self.is_available = True


def connect(url: str, *, timeout_seconds: float | None) -> Redis:
    """Return a client without retries; with None, its commands may wait forever. Raises: ValueError."""
    # A connection waits longer than its commands: a late answer is read, and the connection stays usable. But
    # it is closed before the server is tried again.
    socket_seconds = None if timeout_seconds is None else max(2 * timeout_seconds, 0.9 * _REST_SECONDS)
    # Not `from_url`, in which the `socket_timeout` of the URL would win over ours.
    options: dict[str, Any] = {
        **parse_url(url),
        # One event loop needs no more, and opening them all in a burst takes time.
        "max_connections": 16,
        "timeout": socket_seconds,
        "socket_timeout": socket_seconds,
        "socket_connect_timeout": socket_seconds or 5.0,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "gallery-gateway",
    }
    try:
        pool = BlockingConnectionPool(**options)
        # Only a connection finds what is wrong with its options. It is not opened.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (AttributeError, RedisError, TypeError) as exc:
        raise ValueError("invalid option") from exc
    return Redis.from_pool(pool)


async def _in_time(task: asyncio.Future[Any], timeout_seconds: float) -> Any:
    """Return the result of the task; time in which this process itself stood still does not count.

    Raises:
        TimeoutError: the task takes longer.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_seconds
    await asyncio.wait({task}, timeout=timeout_seconds)
    if not task.done():
        await asyncio.wait({task}, timeout=max(0.0, loop.time() - until))
    if not task.done():
        raise TimeoutError
    return task.result()


_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0


class PurgeListener:
    """Listens for purges in a task of its own, from `start` to `aclose`.

    Args:
        redis: a client whose commands may wait forever; the listener closes it.
        on_purge: called with a caller's key.
        on_gap: called whenever listening begins, at first too: earlier purges may have been missed.
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
        self._task = asyncio.create_task(self._listen_forever())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    async def _listen_forever(self) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen()
            except (RedisError, OSError):
                if self.is_listening.is_set():
                    pause_seconds = _FIRST_PAUSE_SECONDS
                self.is_listening.clear()
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _MAX_PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Raises: RedisError, OSError: the connection is lost."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(PURGES)
            async with aclosing(channel.listen()) as messages:
                async for message in messages:
                    if message["type"] == "message":
                        self._on_purge(message["data"])
                    elif message["type"] == "subscribe":
                        self.is_listening.set()
                        self._on_gap()


# Compression and encryption release the GIL. Starting a thread costs as much as 100 KB of them.
_MIN_THREAD_BYTES = 256 * 1024

Result = TypeVar("Result")


class PageStore:
    """The pages, locks and purges of all processes.

    Args:
        url: of Redis or Valkey.
        secret: encrypts the pages; processes with another secret share nothing.
        on_purge: called with the key of a caller whose pages are purged.
        on_gap: called when purges may have been missed.
        lock_seconds: how long a lock lasts unless it is extended.
        max_bytes: the largest page that is stored or read, as JSON.

    Raises:
        ValueError: the URL is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: bytes,
        on_purge: Callable[[bytes], None],
        on_gap: Callable[[], None],
        lock_seconds: float = _LOCK_SECONDS,
        max_bytes: int = _MAX_PAGE_BYTES,
    ) -> None:
        self.lock_seconds = lock_seconds
        self._client = RedisClient(url)
        self._seal = PageSeal(secret, max_bytes=max_bytes)
        self._max_bytes = max_bytes
        # By generation key, the callers whose purge did not reach the server, the oldest first.
        self._unsent: dict[bytes, bytes] = {}
        self._sending: asyncio.Task[None] | None = None
        # When a purge was last forgotten, by the wall clock.
        self._forgotten_at = 0.0
        self._listener = PurgeListener(connect(url, timeout_seconds=None), on_purge=on_purge, on_gap=on_gap)

    @property
    def is_available(self) -> bool:
        return self._client.is_available

    async def open(self) -> None:
        """Connect and listen; wait for both for a moment, and go on without them if the server is gone."""
        await self._client.open()
        self._listener.start()
        if self.is_available:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._listener.is_listening.wait(), _OPEN_SECONDS)

    async def claim(self, keys: PageKeys, *, owner: bytes, bypass: bool = False) -> Claim:
        """Return the page, or the right to fetch it, unless another process has that right.

        With `bypass`, the right is always granted, and taken away from another process. The owner has a new
        name for each right, without a colon.

        Raises:
            StoreError: the store did not answer, or its pages cannot be read.
        """
        if self._unsent:
            if self._sending is None or self._sending.done():
                self._sending = asyncio.create_task(self._send_purges())
                # Lets the first purge go out before this claim.
                await asyncio.sleep(0)
            # The caller's own purge must come before any page.
            if keys.generation in self._unsent:
                await self.purge(self._unsent[keys.generation])
        arguments: list[bytes | int] = [owner, int(1000 * self.lock_seconds), int(bypass)]
        # A page that cannot be opened, or may be one of a forgotten purge, is deleted, and claimed once more.
        for _ in range(2):
            sealed, is_ours, generation = await self._client.run(CLAIM, keys, arguments)
            if sealed is None:
                return Claim(None, is_ours=bool(is_ours), generation=generation)
            page = await _in_thread_if_large(len(sealed), partial(self._seal.open, sealed, keys.page))
            if page is not None and page.asked_at > self._forgotten_at:
                return Claim(page, is_ours=False, generation=generation)
            log_event("shared_page.refused")
            await self._client.delete(keys.page)
        raise StoreError("wrong")

    async def extend(self, keys: PageKeys, *, owner: bytes) -> None:
        """Extend the lock, while the page is fetched. Raises: StoreError."""
        await self._client.run(EXTEND, [keys.lock, keys.generation], [owner, int(1000 * self.lock_seconds)])

    async def release(
        self, keys: PageKeys, page: StoredPage | None, *, owner: bytes, generation: bytes, seconds: float
    ) -> None:
        """Store the page, if there is one, and release the lock, unless another process has taken it.

        Raises:
            StoreError: the store did not answer, or is full.
        """
        sealed = b""
        if page is not None and seconds > 0 and len(page.body) <= self._max_bytes:
            sealed = await _in_thread_if_large(len(page.body), partial(self._seal.seal, page, keys.page))
        await self._client.run(RELEASE, keys, [owner, generation, max(1, int(1000 * seconds)), sealed])

    async def purge(self, caller_key: bytes) -> None:
        """Purge a caller's pages in all processes; if that fails, again before the caller's next claim.

        Raises:
            StoreError: the store did not answer, or refused.
        """
        key = generation_key(caller_key)
        try:
            await self._client.run(PURGE, [key], [PURGES, caller_key])
        except StoreError:
            self._unsent[key] = caller_key
            if len(self._unsent) > _MAX_UNSENT:
                del self._unsent[next(iter(self._unsent))]
                self._forgotten_at = time.time()
            raise
        self._unsent.pop(key, None)

    async def aclose(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        await self._listener.aclose()
        await self._client.aclose()

    async def _send_purges(self) -> None:
        """Send the unsent purges, one after another, until one fails again."""
        with suppress(StoreError):
            while self._unsent:
                await self.purge(next(iter(self._unsent.values())))


async def _in_thread_if_large(size_bytes: int, work: Callable[[], Result]) -> Result:
    return work() if size_bytes < _MIN_THREAD_BYTES else await asyncio.to_thread(work)
