"""The gate before the endpoint: so many calls at a time, a bounded queue for the others, and then no."""

import asyncio
import math

from gallery_gateway.errors import OverloadedError
from gallery_gateway.upstream.resilience.limit import AdaptiveLimit


class Gate:
    """Calls go through in the order in which they came.

    Args:
        max_waiting: how many may wait.
        max_wait_seconds: how long each of them may.
    """

    def __init__(self, limit: AdaptiveLimit, *, max_waiting: int, max_wait_seconds: float) -> None:
        self.limit = limit
        self._max_waiting = max_waiting
        self._max_wait_seconds = max_wait_seconds
        self._in_flight = 0
        # A dict is a queue out of which any member can be taken.
        self._queue: dict[asyncio.Future[None], None] = {}

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def enter(self) -> None:
        """Raises: OverloadedError: too many wait, or it has waited for too long."""
        if self._in_flight < self.limit.calls and not self._queue:
            self._in_flight += 1
            return
        if len(self._queue) >= self._max_waiting:
            raise self._overloaded()
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await self._wait()
        except TimeoutError:
            raise self._overloaded() from None

    def leave(self, era: int = 0, *, is_congested: bool | None) -> None:
        """To be called once by whoever entered; `is_congested` is None if there is nothing to tell.

        `era` is what the limit's was when the call began.
        """
        if is_congested is not None:
            self.limit.record(era, is_congested=is_congested, in_flight=self._in_flight)
        self._in_flight -= 1
        self._admit()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            self._queue.pop(turn, None)
            if not turn.cancelled():
                # Its turn had come at the very moment.
                self.leave(is_congested=None)
            raise

    def _admit(self) -> None:
        while self._queue and self._in_flight < self.limit.calls:
            turn = next(iter(self._queue))
            del self._queue[turn]
            if not turn.cancelled():
                self._in_flight += 1
                turn.set_result(None)

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            "The gallery has more to do than it can; try again soon.",
            retry_after_seconds=max(1, math.ceil(self._max_wait_seconds)),
        )
