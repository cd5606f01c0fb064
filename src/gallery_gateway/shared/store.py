"""The store that processes share: Redis or Valkey, asked for so long and no longer.

Whatever is wrong with it costs one short wait: it is then left alone for a moment, and each process is as
good as alone. Nothing of it is ever an error to a client.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gallery_gateway.shared import scripts
from gallery_gateway.shared.pages import PURGES, Spot, StoredPage, StoreError, Taken, generation_key
from gallery_gateway.shared.purges import PurgeListener
from gallery_gateway.shared.sealing import Seal, WrongPageError, open_page, seal_page
from gallery_gateway.telemetry.logs import log_event

_MAX_CONNECTIONS = 64

# Generations outlive the pages that they are about: no page is fresh for more than a day.
_GENERATION_MILLISECONDS = 2 * 24 * 3600 * 1000

# For connections on which there is no hurry.
_CONNECT_SECONDS = 5.0

# For so long after a failure nobody waits for the store; then one question tries it.
_REST_SECONDS = 1.0


_LARGE_BYTES = 256 * 1024

P = ParamSpec("P")
Result = TypeVar("Result")


class PageStore:
    """Redis or Valkey, as `Store` promises.

    Args:
        url: of Redis or Valkey, as redis-py reads it.
        timeout_seconds: the longest that anybody waits for one answer.
        lock_seconds: for how long a fetch is announced without being announced again.
        max_bytes: the largest page that is stored, or read.
        on_purge: called with the key of a caller whose pages have been purged.
        on_gap: called when purges may have been missed.
    """

    def __init__(
        self,
        url: str,
        *,
        seal: Seal,
        timeout_seconds: float,
        lock_seconds: float,
        max_bytes: int,
        on_purge: Callable[[bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self.lock_seconds = lock_seconds
        self._seal = seal
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._redis = connect(url, timeout_seconds=timeout_seconds)
        self._scripts = {
            text: self._redis.register_script(text)
            for text in (scripts.TAKE, scripts.HOLD, scripts.GIVE, scripts.PURGE)
        }
        self._commands: set[asyncio.Task[Any]] = set()
        self._rests_until = 0.0
        self._listener = PurgeListener(connect(url, timeout_seconds=None), on_purge=on_purge, on_gap=on_gap)
        self.is_available = True

    async def take(self, spot: Spot, *, owner: bytes) -> Taken:
        """The page, or else the right to fetch it, unless another has that.

        Raises:
            StoreError: it could not be asked.
        """
        # There is a loop now, and nothing yet that could be purged.
        self._listener.start()
        keys = [spot.page, spot.generation, spot.lock]
        sealed, got, generation = await self._run(scripts.TAKE, keys, [owner, self._lock_milliseconds])
        if sealed is None:
            return Taken(None, is_ours=bool(got), generation=generation)
        try:
            page = await _in_thread_if_large(
                len(sealed), open_page, sealed, self._seal, key=spot.page, max_bytes=self._max_bytes
            )
        except WrongPageError:
            log_event("shared_page.refused")
            await self._command(lambda: self._redis.unlink(spot.page))
            return Taken(None, is_ours=False, generation=generation)
        return Taken(page, is_ours=False, generation=generation)

    async def hold(self, spot: Spot, *, owner: bytes) -> None:
        """Announces once more that the page is being fetched. Raises: StoreError."""
        await self._run(scripts.HOLD, [spot.lock], [owner, self._lock_milliseconds])

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
        await self._run(scripts.GIVE, keys, [owner, generation, max(1, int(1000 * seconds)), sealed])

    async def purge(self, caller_key: bytes) -> None:
        """Forgets a caller's pages, here and in all processes. Raises: StoreError."""
        caller = caller_key.hex().encode("ascii")
        await self._run(
            scripts.PURGE, [generation_key(caller)], [_GENERATION_MILLISECONDS, PURGES, caller_key]
        )

    async def aclose(self) -> None:
        await self._listener.aclose()
        for command in self._commands:
            command.cancel()
        await asyncio.gather(*self._commands, return_exceptions=True)
        await self._redis.aclose()

    @property
    def _lock_milliseconds(self) -> int:
        return int(1000 * self.lock_seconds)

    async def _run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> Any:
        return await self._command(lambda: self._scripts[script](keys=keys, args=arguments))

    async def _command(self, command: Callable[[], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()
        if not self.is_available:
            if loop.time() < self._rests_until:
                raise StoreError("resting")
            # This one tries it; whoever comes meanwhile does not wait.
            self._rests_until = loop.time() + _REST_SECONDS
        # In a task that nobody cancels: a connection that a cancelled command leaves behind would give the
        # command's answer to whoever asks next. Its own timeout closes the connection.
        task = asyncio.ensure_future(_awaited(command))
        self._commands.add(task)
        task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await asyncio.shield(task)
        except ResponseError as exc:
            # It is there, and refuses: it has no room, or is a replica.
            raise StoreError("refused") from exc
        except (RedisError, OSError, TimeoutError) as exc:
            self._fail(exc)
            raise StoreError("unavailable") from exc
        self._recover()
        return answer

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._commands.discard(task)
        if not task.cancelled():
            # Marks the error as seen: its waiter may have left before.
            task.exception()

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
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds or _CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        client_name="gallery-gateway",
    )
    return Redis.from_pool(pool)


async def _in_thread_if_large(
    size_bytes: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
) -> Result:
    """Compression and encryption let other threads run, and a thread costs as much as 100 KB of them."""
    if size_bytes <= _LARGE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


async def _awaited(command: Callable[[], Awaitable[Any]]) -> Any:
    return await command()
