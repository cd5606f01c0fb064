"""The circuit breaker: an endpoint that mostly fails is left alone for a while, then tried by one call."""

from collections.abc import Callable
from enum import Enum

# The window slides by one tenth of itself.
_BUCKETS = 10


class State(Enum):
    """Of a breaker; a closed one lets calls through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(Enum):
    """What a call tells about the endpoint; one that was given up early tells nothing."""

    FINE = "fine"
    SLOW = "slow"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Breaker:
    """Opens when too many of the recent calls failed or were slow; half-open, it lets one call through.

    Args:
        failure_share: of the calls in the window that may fail before it opens, from 0 to 1.
        slow_share: likewise of those that may be slow.
        least_calls: fewer than this in the window open nothing.
        window_seconds: how long a call counts.
        open_seconds: how long no call is let through.
        clock: seconds that never run backwards; a test passes its own.
    """

    def __init__(
        self,
        *,
        failure_share: float,
        slow_share: float,
        least_calls: int,
        window_seconds: float,
        open_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._failure_share = failure_share
        self._slow_share = slow_share
        self._least_calls = least_calls
        self._open_seconds = open_seconds
        self._clock = clock
        self._window = _Window(window_seconds, clock)
        self._open_until = 0.0
        # Counts the changes of state: what began under another one tells nothing about this one.
        self._epoch = 0
        self._state = State.CLOSED

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_shut(self) -> bool:
        """Whether a call that asked now would not be let through."""
        if self._state is State.CLOSED:
            return False
        return self._state is State.HALF_OPEN or self._clock() < self._open_until

    def begin(self) -> int | None:
        """The ticket of a call, to be given back to `end`; None if it is not let through."""
        if self.is_shut:
            return None
        if self._state is State.OPEN:
            self._change(State.HALF_OPEN)
        return self._epoch

    def end(self, ticket: int, outcome: Outcome) -> None:
        """To be called once for each ticket, whatever became of its call."""
        if ticket != self._epoch:
            return
        if self._state is State.HALF_OPEN:
            self._judge_probe(outcome)
        elif outcome is not Outcome.UNKNOWN:
            self._window.count(outcome)
            if outcome is not Outcome.FINE and self._is_too_much():
                self._open(self._open_seconds)

    def _judge_probe(self, outcome: Outcome) -> None:
        if outcome is Outcome.FINE:
            self._window.clear()
            self._change(State.CLOSED)
        else:
            # A probe that was given up leaves its place to the next.
            self._open(0.0 if outcome is Outcome.UNKNOWN else self._open_seconds)

    def _is_too_much(self) -> bool:
        calls, failed, slow = self._window.totals()
        is_enough = calls >= self._least_calls
        return is_enough and (failed >= self._failure_share * calls or slow >= self._slow_share * calls)

    def _open(self, seconds: float) -> None:
        self._open_until = self._clock() + seconds
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self._state = state
        self._epoch += 1


class _Window:
    """Calls, failures and slow calls of the last seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._width = seconds / _BUCKETS
        self._clock = clock
        # Each has its number, calls, failures and slow calls.
        self._buckets = [[-1, 0, 0, 0] for _ in range(_BUCKETS)]

    def count(self, outcome: Outcome) -> None:
        number = int(self._clock() / self._width)
        bucket = self._buckets[number % _BUCKETS]
        if bucket[0] != number:
            bucket[:] = [number, 0, 0, 0]
        bucket[1] += 1
        bucket[2] += outcome is Outcome.FAILED
        bucket[3] += outcome is Outcome.SLOW

    def totals(self) -> tuple[int, int, int]:
        oldest = int(self._clock() / self._width) - _BUCKETS
        recent = [bucket for bucket in self._buckets if bucket[0] > oldest]
        calls, failed, slow = (sum(bucket[column] for bucket in recent) for column in (1, 2, 3))
        return calls, failed, slow

    def clear(self) -> None:
        self._buckets = [[-1, 0, 0, 0] for _ in range(_BUCKETS)]
