"""How many calls the API gets at a time: more while it copes, fewer when it does not, as TCP does it."""

from collections import Counter

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
