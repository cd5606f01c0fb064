"""How many calls the API gets at a time, and how callers share them."""

import asyncio
import math
from collections import Counter, OrderedDict

from gallery_gateway.errors import OverloadedError

# A window of fewer calls would say nothing.
_MIN_WINDOW_CALLS = 10
_CONGESTED_SHARE = 0.1
_SHRINKING = 0.8
_SHRINKING_FAST = 0.5


class AdaptiveLimit:
    """Additive increase, multiplicative decrease, decided after as many calls as it allows at a time.

    A window in which more than a tenth of the calls were congested (too slow, out of time, 503 or 504) makes
    the limit a fifth smaller, or half as large if it was more than half of them. Any other window makes it
    larger by 1, or twice as large until it shrank for the first time. It grows only if it was used, and calls
    that began before it shrank are not held against it once more.

    One caller's slow pages do not take the places of others: where several callers called, the one with most
    congested calls is left out; where only one did, it makes the limit no smaller than it was at first.
    """

    def __init__(self, *, min_calls: int, first_calls: int, max_calls: int) -> None:
        self._min_calls = min(min_calls, max_calls)
        self._max_calls = max_calls
        self._first_calls = min(first_calls, max_calls)
        self._limit = float(self._first_calls)
        self._shrinks = 0
        self._calls: dict[bytes | None, int] = {}
        self._congested: Counter[bytes | None] = Counter()
        self._recorded = 0
        self._peak = 0

    @property
    def calls(self) -> int:
        return int(self._limit)

    @property
    def era(self) -> int:
        """The number of times that the limit has shrunk; a call notes it when it begins."""
        return self._shrinks

    def record(self, caller_key: bytes | None, era: int, *, is_congested: bool, in_flight: int) -> None:
        """Count a call that has ended; `in_flight` is how many there were, including it."""
        if era != self._shrinks:
            return
        self._calls[caller_key] = self._calls.get(caller_key, 0) + 1
        if is_congested:
            self._congested[caller_key] += 1
        self._recorded += 1
        self._peak = max(self._peak, in_flight)
        if self._recorded >= max(_MIN_WINDOW_CALLS, self._limit):
            self._decide()
            self._calls.clear()
            self._congested.clear()
            self._recorded = self._peak = 0

    def _decide(self) -> None:
        calls, congested = self._counted()
        if congested > _CONGESTED_SHARE * calls:
            self._shrinks += 1
            factor = _SHRINKING_FAST if 2 * congested > calls else _SHRINKING
            smallest = self._first_calls if len(self._calls) == 1 else self._min_calls
            self._limit = max(min(smallest, self._limit), self._limit * factor)
        elif 2 * self._peak >= self._limit:
            self._limit = min(self._max_calls, self._limit + 1 if self._shrinks else self._limit * 2)

    def _counted(self) -> tuple[int, int]:
        """Return the calls that count, and how many of them were congested."""
        if not self._congested or len(self._calls) == 1:
            return self._recorded, self._congested.total()
        worst, congested = self._congested.most_common(1)[0]
        return self._recorded - self._calls[worst], self._congested.total() - congested


# A caller may begin a call while it has fewer under way than this many times the free places. So one busy
# caller leaves a third of the places free, two leave a fifth, and a caller that comes later finds room.
_CALLS_PER_FREE_PLACE = 2


class ConcurrencyLimiter:
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
