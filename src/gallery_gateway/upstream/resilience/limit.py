"""How many calls the endpoint gets at a time: more while it copes, fewer when it does not, as TCP does it."""

# A window of so few calls would say nothing.
_LEAST_WINDOW_CALLS = 10
_CONGESTED_SHARE = 0.1
_SHRINKING = 0.8
_SHRINKING_FAST = 0.5


class AdaptiveLimit:
    """Additive increase, multiplicative decrease, decided once in as many calls as it allows at a time.

    A window in which more than a tenth of the calls were congested (too slow, out of time, 503 or 504) makes
    the limit a fifth smaller, or half as large if it was more than half of them; another one makes it larger
    by 1, or twice as large until it shrank for the first time. It grows only if it was used, and what began
    before it shrank is not held against it once more.
    """

    def __init__(self, *, least: int, first: int, most: int) -> None:
        self._least = min(least, most)
        self._most = most
        self._limit = float(min(first, most))
        self._shrinks = 0
        self._calls = 0
        self._congested = 0
        self._peak = 0

    @property
    def calls(self) -> int:
        return int(self._limit)

    @property
    def era(self) -> int:
        """What a call notes when it begins, and tells when it has ended."""
        return self._shrinks

    def record(self, era: int, *, is_congested: bool, in_flight: int) -> None:
        """Counts a call that has ended; `in_flight` is how many there were, with it."""
        if era != self._shrinks:
            return
        self._calls += 1
        self._congested += is_congested
        self._peak = max(self._peak, in_flight)
        if self._calls >= max(_LEAST_WINDOW_CALLS, self._limit):
            self._decide()
            self._calls = self._congested = self._peak = 0

    def _decide(self) -> None:
        if self._congested > _CONGESTED_SHARE * self._calls:
            self._shrinks += 1
            factor = _SHRINKING_FAST if 2 * self._congested > self._calls else _SHRINKING
            self._limit = max(self._least, self._limit * factor)
        elif 2 * self._peak >= self._limit:
            self._limit = min(self._most, self._limit + 1 if self._shrinks else self._limit * 2)
