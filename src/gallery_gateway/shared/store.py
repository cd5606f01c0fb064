"""The pages that processes share, in Redis or Valkey."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from cachetools import LRUCache

from gallery_gateway.shared import scripts
from gallery_gateway.shared.commands import Commands
from gallery_gateway.shared.pages import PURGES, Spot, StoredPage, StoreError, Taken, generation_key
from gallery_gateway.shared.purges import PurgeListener
from gallery_gateway.shared.sealing import Seal, WrongPageError, open_page, seal_page
from gallery_gateway.telemetry.logs import log_event

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
        await self._commands.open(scripts.ALL)
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
            sealed, got, generation = await self._commands.run(scripts.TAKE, keys, arguments)
            if sealed is None:
                return Taken(None, is_ours=bool(got), generation=generation)
            page = await self._opened(sealed, spot)
            if page is not None:
                return Taken(page, is_ours=False, generation=generation)
        raise StoreError("wrong")

    async def hold(self, spot: Spot, *, owner: bytes) -> None:
        """Announces once more that the page is being fetched. Raises: StoreError."""
        await self._commands.run(scripts.HOLD, [spot.lock], [owner, self._lock_milliseconds])

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
        await self._commands.run(scripts.GIVE, keys, [owner, generation, max(1, int(1000 * seconds)), sealed])

    async def purge(self, caller_key: bytes) -> None:
        """Forgets a caller's pages, here and in all processes. Raises: StoreError."""
        caller = caller_key.hex().encode("ascii")
        arguments: list[bytes | int] = [_GENERATION_MILLISECONDS, PURGES, caller_key]
        try:
            await self._commands.run(scripts.PURGE, [generation_key(caller)], arguments)
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
