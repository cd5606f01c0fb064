"""Hears which callers' pages other processes have purged."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gallery_gateway.shared.pages import PURGES

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
