"""How many concurrent calls the REST API gets, and how callers share them."""

import asyncio
import math
from collections import Counter, OrderedDict
from dataclasses import dataclass

from gallery_gateway.errors import OverloadedError

# Fewer calls would not be representative.
_MIN_WINDOW_CALLS = 10
_CONGESTED_SHARE = 0.1
_SHRINKING = 0.8
_SHRINKING_FAST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterRules:
    """Bounds of the limit and of the queue.

    Args:
        first_calls: limit at the start, which an API of any size can take.
        min_calls: smallest limit, so that the gateway notices when the API recovers.
        max_waiting: calls that may wait, of all callers together.
        max_wait_seconds: how long a call may wait. Clients repeat an operation sooner than they wait longer.
    """

    first_calls: int = 20
    min_calls: int = 4
    max_waiting: int = 1_000
    max_wait_seconds: float = 2.0


class AdaptiveLimit:
    """A limit with additive increase and multiplicative decrease, adapted after as many calls as it allows.

    If more than a tenth of these calls were congested (slow, out of time, 503 or 504), the limit shrinks by a
    fifth, or by half if more than half of them were. Otherwise it grows by 1, or doubles until it shrinks for
    the first time. It grows only if it was used, and ignores calls that began before it shrank.

    One caller's slow pages do not cost other callers their places. If several callers called, the one with
    the most congested calls does not count; a caller that calls alone does not shrink the limit below its
    first value.

    `era` is the number of times that the limit has shrunk. A call notes it when it begins.
    """

    def __init__(self, rules: LimiterRules, *, max_calls: int) -> None:
        self._min_calls = min(rules.min_calls, max_calls)
        self._max_calls = max_calls
        self._first_calls = min(rules.first_calls, max_calls)
        self._limit = float(self._first_calls)
        self.era = 0
        self._calls: dict[bytes, int] = {}
        self._congested: Counter[bytes] = Counter()
        self._recorded = 0
        self._peak = 0

    @property
    def calls(self) -> int:
        return int(self._limit)

    def record(self, caller_key: bytes, era: int, *, is_congested: bool, in_flight: int) -> None:
        """Count a call that has ended; `in_flight` is how many there were, including it."""
        if era != self.era:
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
        calls, congested = self._recorded, self._congested.total()
        if congested and len(self._calls) > 1:
            worst, congested_calls = self._congested.most_common(1)[0]
            calls -= self._calls[worst]
            congested -= congested_calls
        if congested > _CONGESTED_SHARE * calls:
            self.era += 1
            factor = _SHRINKING_FAST if 2 * congested > calls else _SHRINKING
            smallest = self._first_calls if len(self._calls) == 1 else self._min_calls
            self._limit = max(min(smallest, self._limit), self._limit * factor)
        elif 2 * self._peak >= self._limit:
            self._limit = min(self._max_calls, self._limit + 1 if self.era else self._limit * 2)


# A caller may begin a call while it has fewer calls in flight than this multiple of the free places. So one
# busy caller leaves a third of the places free, two leave a fifth, and a further caller finds a place.
_CALLS_PER_FREE_PLACE = 2


class ConcurrencyLimiter:
    """An adaptive limit on concurrent calls, with a queue in which callers take turns.

    Each caller's own calls keep their order.

    Args:
        max_calls: upper bound of the limit.

    `in_flight` is the number of calls that hold a place, `waiting` that of calls in the queue.
    """

    def __init__(self, rules: LimiterRules, *, max_calls: int) -> None:
        self.limit = AdaptiveLimit(rules, max_calls=max_calls)
        self.in_flight = 0
        self.waiting = 0
        self._rules = rules
        self._in_flight_of: dict[bytes, int] = {}
        # Callers in the order of their turns. A dict of futures is a queue from which any can be removed.
        self._queues: OrderedDict[bytes, dict[asyncio.Future[None], None]] = OrderedDict()

    def try_enter(self, caller_key: bytes) -> bool:
        """Take a place, to be given back by `leave`, and return `True`; return `False` if there is none."""
        if caller_key in self._queues or not self._has_room(caller_key):
            return False
        self._take_place(caller_key)
        return True

    async def wait(self, caller_key: bytes) -> None:
        """Wait for a place, to be given back by `leave`.

        Raises:
            OverloadedError: too many calls wait, or this one waited too long.
        """
        if self.waiting >= self._rules.max_waiting:
            self._drop_one_for(caller_key)
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller_key, {})[turn] = None
        self.waiting += 1
        try:
            async with asyncio.timeout(self._rules.max_wait_seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError) as exc:
            if turn.cancelled():
                self._remove(caller_key, turn)
            elif turn.exception() is None:
                # It got a place just before it was cancelled.
                self.leave(caller_key, is_congested=None)
            if isinstance(exc, TimeoutError):
                raise self._overloaded() from None
            raise

    def leave(self, caller_key: bytes, era: int = 0, *, is_congested: bool | None) -> None:
        """Give back a place, once.

        Args:
            caller_key: of the caller that took the place.
            era: `limit.era` when the call began.
            is_congested: whether the call shows congestion; `None` if it shows nothing about the API.
        """
        if is_congested is not None:
            self.limit.record(caller_key, era, is_congested=is_congested, in_flight=self.in_flight)
        self.in_flight -= 1
        calls = self._in_flight_of.pop(caller_key) - 1
        if calls:
            self._in_flight_of[caller_key] = calls
        self._admit()

    def _has_room(self, caller_key: bytes) -> bool:
        free = self.limit.calls - self.in_flight
        return self._in_flight_of.get(caller_key, 0) < _CALLS_PER_FREE_PLACE * free

    def _take_place(self, caller_key: bytes) -> None:
        self.in_flight += 1
        self._in_flight_of[caller_key] = self._in_flight_of.get(caller_key, 0) + 1

    def _admit(self) -> None:
        """Admit waiting calls of callers that have room, one of each caller in turn."""
        without_room = 0
        while without_room < len(self._queues) and self.in_flight < self.limit.calls:
            caller_key, queue = next(iter(self._queues.items()))
            self._queues.move_to_end(caller_key)
            if self._has_room(caller_key):
                turn = next(iter(queue))
                self._remove(caller_key, turn)
                if not turn.cancelled():
                    self._take_place(caller_key)
                    turn.set_result(None)
                without_room = 0
            else:
                without_room += 1

    def _remove(self, caller_key: bytes, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller_key, {})
        if turn in queue:
            del queue[turn]
            self.waiting -= 1
            if not queue:
                del self._queues[caller_key]

    def _drop_one_for(self, caller_key: bytes) -> None:
        """Make room in the full queue: the caller with the most calls in it loses its newest one.

        Raises:
            OverloadedError: no other caller has more calls in it than this one would have.
        """
        greediest = max(self._queues, key=lambda key: len(self._queues[key]), default=caller_key)
        own = len(self._queues.get(caller_key, ()))
        if own + 1 >= len(self._queues.get(greediest, ())):
            raise self._overloaded()
        newest = next(reversed(self._queues[greediest]))
        self._remove(greediest, newest)
        if not newest.cancelled():
            newest.set_exception(self._overloaded())

    def _overloaded(self) -> OverloadedError:
        return OverloadedError(retry_after_seconds=max(1, math.ceil(self._rules.max_wait_seconds)))
