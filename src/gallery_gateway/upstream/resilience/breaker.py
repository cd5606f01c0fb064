"""A circuit breaker: after too many failures no call is made for a while, then one call probes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class State(Enum):
    """State of a breaker; a closed one lets calls through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallResult(Enum):
    """What a call shows about the API.

    `FINE` is a page, and `REFUSED` an answer about the caller or the request, such as 401, 404 or 429.
    `UNREACHABLE` is a call for which there was no connection, so that it cannot be the caller's fault.
    `UNKNOWN` is a call that was given up early.
    """

    FINE = "fine"
    REFUSED = "refused"
    SLOW = "slow"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


BAD = frozenset({CallResult.SLOW, CallResult.FAILED, CallResult.UNREACHABLE})
"""Results that may open a breaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When a breaker opens, and for how long.

    Args:
        failure_share: share of the calls in the window, from 0 to 1, that have to fail.
        slow_share: share of the calls in the window that have to be slow.
        min_calls: a window with fewer calls opens nothing.
        window_seconds: how long a call counts.
        open_seconds: how long no call is let through before one probes.
    """

    failure_share: float
    slow_share: float
    min_calls: int
    window_seconds: float
    open_seconds: float


class Window(Protocol):
    """The calls of the last seconds, and the verdict on them."""

    def is_failing(self) -> bool: ...

    def clear(self) -> None: ...


class Breaker:
    """Opens when its window is failing; half-open, it lets one probe through.

    Args:
        window: counted by the owner, before each `end`.
        clock: monotonic seconds.
    """

    def __init__(self, window: Window, *, open_seconds: float, clock: Callable[[], float]) -> None:
        self._window = window
        self._open_seconds = open_seconds
        self._clock = clock
        self._open_until = 0.0
        # Counts the changes of state: a call that began in an earlier state says nothing about this one.
        self._epoch = 0
        self._state = State.CLOSED
        self._prober: bytes | None = None

    @property
    def state(self) -> State:
        return self._state

    def is_shut(self, caller_key: bytes | None = None) -> bool:
        """Return whether a call that this caller began now would be refused."""
        if self._state is State.CLOSED:
            return False
        if self._state is State.HALF_OPEN:
            return True
        # A caller whose probe failed leaves the next one to others, or its own bad question would decide
        # for everyone. If nobody else calls, it may probe again after another pause.
        is_failed_prober = caller_key is not None and caller_key == self._prober
        pause = self._open_seconds if is_failed_prober else 0.0
        return self._clock() < self._open_until + pause

    def begin(self, caller_key: bytes | None = None) -> int | None:
        """Return a ticket to hand back to `end`, or `None` if the call is refused."""
        if self.is_shut(caller_key):
            return None
        if self._state is State.OPEN:
            self._change(State.HALF_OPEN)
            self._prober = caller_key
        return self._epoch

    def end(self, ticket: int, result: CallResult) -> bool:
        """Take back a ticket, once, whatever became of its call; return whether that opened the breaker."""
        if ticket != self._epoch:
            return False
        if self._state is State.HALF_OPEN:
            return self._judge_probe(result)
        if result in BAD and self._window.is_failing():
            self._open(self._open_seconds)
            return True
        return False

    def _judge_probe(self, result: CallResult) -> bool:
        if result in {CallResult.FINE, CallResult.REFUSED}:
            self._window.clear()
            self._prober = None
            self._change(State.CLOSED)
        elif result is CallResult.UNKNOWN:
            # A probe that was given up leaves its place to the next call, whoever makes it.
            self._prober = None
            self._open(0.0)
        else:
            self._open(self._open_seconds)
        return result in BAD

    def _open(self, seconds: float) -> None:
        self._open_until = self._clock() + seconds
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self._state = state
        self._epoch += 1
