"""The gate before the API: a number of calls at a time, shared fairly among callers, and a bounded queue."""

import asyncio
import math
from collections import OrderedDict

from gallery_gateway.errors import OverloadedError
from gallery_gateway.upstream.resilience.limit import AdaptiveLimit

# A caller may begin a call while it has fewer under way than this many times the free places. So one busy
# caller leaves a third of the places free, two leave a fifth, and a caller that comes later finds room.
_CALLS_PER_FREE_PLACE = 2


class Gate:
    """A limit on concurrent calls, with a queue in which callers take turns.

    Each caller's own calls go in the order in which they came.

    Args:
        max_waiting: calls that may wait, of all callers together.
        max_wait_seconds: how long a call may wait.
    """

    def __init__(self, limit: AdaptiveLimit, *, max_waiting: int, max_wait_seconds: float) -> None:
        self.limit = limit
        self._max_waiting = max_waiting
        self._max_wait_seconds = max_wait_seconds
        self._in_flight: dict[bytes | None, int] = {}
        self._in_flight_total = 0
        # Callers in the order of their turns. A dict of futures is a queue out of which any can be taken.
        self._queues: OrderedDict[bytes | None, dict[asyncio.Future[None], None]] = OrderedDict()
        self._waiting = 0

    @property
    def in_flight(self) -> int:
        return self._in_flight_total

    @property
    def waiting(self) -> int:
        return self._waiting

    async def enter(self, caller_key: bytes | None) -> None:
        """Wait for a place, to be given back by `leave`.

        Raises:
            OverloadedError: too many calls wait, or this one has waited for too long.
        """
        if caller_key not in self._queues and self._has_room(caller_key):
            self._take_place(caller_key)
            return
        if self._waiting >= self._max_waiting:
            self._drop_one_for(caller_key)
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await self._wait(caller_key)
        except TimeoutError:
            raise self._overloaded() from None

    def leave(self, caller_key: bytes | None, era: int = 0, *, is_congested: bool | None) -> None:
        """Give back a place, once.

        Args:
            caller_key: who took the place.
            era: `limit.era` when the call began.
            is_congested: whether the call shows congestion; `None`: it says nothing about the API.
        """
        if is_congested is not None:
            self.limit.record(caller_key, era, is_congested=is_congested, in_flight=self._in_flight_total)
        self._in_flight_total -= 1
        calls = self._in_flight.pop(caller_key) - 1
        if calls:
            self._in_flight[caller_key] = calls
        self._admit()

    def _has_room(self, caller_key: bytes | None) -> bool:
        free = self.limit.calls - self._in_flight_total
        return self._in_flight.get(caller_key, 0) < _CALLS_PER_FREE_PLACE * free

    def _take_place(self, caller_key: bytes | None) -> None:
        self._in_flight_total += 1
        self._in_flight[caller_key] = self._in_flight.get(caller_key, 0) + 1

    async def _wait(self, caller_key: bytes | None) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller_key, {})[turn] = None
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._take_out(caller_key, turn)
            elif turn.exception() is None:
                # It was given a place just before it was cancelled.
                self.leave(caller_key, is_congested=None)
            raise

    def _admit(self) -> None:
        """Let in waiting calls of callers that have room, one of each caller in turn."""
        without_room = 0
        while without_room < len(self._queues) and self._in_flight_total < self.limit.calls:
            caller_key, queue = next(iter(self._queues.items()))
            self._queues.move_to_end(caller_key)
            if self._has_room(caller_key):
                turn = next(iter(queue))
                self._take_out(caller_key, turn)
                if not turn.cancelled():
                    self._take_place(caller_key)
                    turn.set_result(None)
                without_room = 0
            else:
                without_room += 1

    def _take_out(self, caller_key: bytes | None, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller_key, {})
        if turn in queue:
            del queue[turn]
            self._waiting -= 1
            if not queue:
                del self._queues[caller_key]

    def _drop_one_for(self, caller_key: bytes | None) -> None:
        """Make room in the full queue: the caller with the most calls in it loses its newest.

        Raises:
            OverloadedError: no other caller has more calls in it than this one with its new call.
        """
        greediest = max(self._queues, key=lambda key: len(self._queues[key]), default=None)
        own = len(self._queues.get(caller_key, ()))
        if own + 1 >= len(self._queues.get(greediest, ())):
            raise self._overloaded()
        newest = next(reversed(self._queues[greediest]))
        self._take_out(greediest, newest)
        if not newest.cancelled():
            newest.set_exception(self._overloaded())

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(
            "Too many calls wait for the gallery; try again soon.",
            retry_after_seconds=max(1, math.ceil(self._max_wait_seconds)),
        )
