"""Circuit breakers: one for the API, and one for each caller whose calls fail.

After too many failures no call is made for a while, then one call probes.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple, Protocol, TypeVar

from cachetools import LRUCache

from gallery_gateway.telemetry.logs import log_event


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


# Where a caller is not to probe, it may all the same after so many pauses, if nobody else has come.
_LAST_RESORT_PAUSES = 6
_MAX_FAILED_PROBERS = 1_000


class Breaker:
    """Opens when its window is failing; half-open, it lets one probe through.

    A caller whose probe failed, or took longer than `open_seconds`, leaves the next ones to others: its own
    bad question must not decide for everyone.

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
        self._probe_ends_at = 0.0
        self._failed_probers: set[bytes] = set()

    @property
    def state(self) -> State:
        return self._state

    def is_shut(self, caller_key: bytes | None = None, *, may_probe: bool = True) -> bool:
        """Return whether a call that this caller began now would be refused."""
        if self._state is State.CLOSED:
            return False
        now = self._clock()
        is_last_resort = not may_probe or caller_key in self._failed_probers
        pause = _LAST_RESORT_PAUSES * self._open_seconds if is_last_resort else 0.0
        if self._state is State.HALF_OPEN:
            return caller_key == self._prober or now < self._probe_ends_at + pause
        return now < self._open_until + pause

    def begin(self, caller_key: bytes | None = None, *, may_probe: bool = True) -> int | None:
        """Return a ticket to hand back to `end`, or `None` if the call is refused."""
        if self.is_shut(caller_key, may_probe=may_probe):
            return None
        if self._state is not State.CLOSED:
            if self._state is State.HALF_OPEN:
                # The probe under way takes too long.
                self._put_back_prober()
            self._change(State.HALF_OPEN)
            self._prober = caller_key
            self._probe_ends_at = self._clock() + self._open_seconds
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
            self._failed_probers.clear()
            self._change(State.CLOSED)
        elif result is CallResult.UNKNOWN:
            # A probe that was given up leaves its place to the next call, whoever makes it.
            self._open(0.0)
        else:
            self._put_back_prober()
            self._open(self._open_seconds)
        return result in BAD

    def _put_back_prober(self) -> None:
        if self._prober is not None and len(self._failed_probers) < _MAX_FAILED_PROBERS:
            self._failed_probers.add(self._prober)

    def _open(self, seconds: float) -> None:
        self._open_until = self._clock() + seconds
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self._state = state
        self._epoch += 1


# The window slides by one tenth of itself.
_BUCKETS = 10

# To ask all callers and questions takes time. Once most did not agree, they are asked again only after as
# many calls as this share of their number.
_ASKED_AGAIN_SHARE = 0.01

Bucket = TypeVar("Bucket")


@dataclass(slots=True)
class Counts:
    """Numbers of calls; `failed` includes `unreachable`."""

    calls: int = 0
    failed: int = 0
    slow: int = 0
    unreachable: int = 0

    def count(self, result: CallResult) -> None:
        self.calls += 1
        self.slow += result is CallResult.SLOW
        self.unreachable += result is CallResult.UNREACHABLE
        self.failed += result is CallResult.FAILED or result is CallResult.UNREACHABLE

    def add(self, other: "Counts") -> None:
        self.calls += other.calls
        self.failed += other.failed
        self.slow += other.slow
        self.unreachable += other.unreachable


class CallerWindow:
    """Calls of one caller; it is failing if the share of failed or of slow calls is reached."""

    def __init__(self, rules: BreakerRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._buckets = _Buckets(Counts, rules.window_seconds, clock)

    def count(self, result: CallResult) -> None:
        self._buckets.current().count(result)

    def is_failing(self) -> bool:
        totals = _sum(self._buckets.recent())
        rules = self._rules
        return totals.calls >= rules.min_calls and (_has_failed(totals, rules) or _is_slow(totals, rules))

    def clear(self) -> None:
        self._buckets.clear()


class ApiWindow:
    """Calls of all callers.

    It is failing if the share of unreachable calls is reached, or if the share of failed or slow calls is
    reached *and* more than half of the callers, two at least, *and* more than half of the questions see it.
    So neither one caller nor one question that the API cannot answer makes it fail for the others.

    Args:
        has_been_served: whether a caller ever got a page. Tokens can be made up, so only such callers are
            asked, as long as there are two of them.
    """

    def __init__(
        self,
        rules: BreakerRules,
        clock: Callable[[], float],
        has_been_served: Callable[[Hashable], bool] = lambda _caller_key: True,
    ) -> None:
        self._rules = rules
        self._has_been_served = has_been_served
        self._buckets = _Buckets(_ApiBucket, rules.window_seconds, clock)
        self._counted = 0
        self._ask_again_at = 0

    def count(self, result: CallResult, *, caller_key: bytes | None, question: int) -> None:
        """Count a call; `question` is a hash of what it asks."""
        self._counted += 1
        bucket = self._buckets.current()
        bucket.totals.count(result)
        bucket.by_caller[caller_key].count(result)
        bucket.by_question[question].count(result)

    def is_failing(self) -> bool:
        totals = _sum(bucket.totals for bucket in self._buckets.recent())
        rules = self._rules
        if totals.calls < rules.min_calls:
            return False
        if totals.unreachable >= rules.failure_share * totals.calls:
            return True
        if self._counted < self._ask_again_at:
            return False
        return (_has_failed(totals, rules) and self._is_agreed(_has_failed)) or (
            _is_slow(totals, rules) and self._is_agreed(_is_slow)
        )

    def clear(self) -> None:
        self._buckets.clear()
        self._ask_again_at = 0

    def _is_agreed(self, is_bad: Callable[[Counts, BreakerRules], bool]) -> bool:
        recent = list(self._buckets.recent())
        by_caller = _merge(bucket.by_caller for bucket in recent)
        served = [counts for key, counts in by_caller.items() if self._has_been_served(key)]
        callers = served if len(served) >= 2 else list(by_caller.values())
        questions = _merge(bucket.by_question for bucket in recent).values()
        bad_callers = sum(is_bad(counts, self._rules) for counts in callers)
        bad_questions = sum(is_bad(counts, self._rules) for counts in questions)
        if bad_callers >= 2 and 2 * bad_callers > len(callers) and 2 * bad_questions > len(questions):
            return True
        asked = len(by_caller) + len(questions)
        self._ask_again_at = self._counted + int(_ASKED_AGAIN_SHARE * asked)
        return False


@dataclass(slots=True)
class _ApiBucket:
    totals: Counts = field(default_factory=Counts)
    by_caller: defaultdict[Hashable, Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_question: defaultdict[Hashable, Counts] = field(default_factory=lambda: defaultdict(Counts))


class _Buckets(Generic[Bucket]):
    """The tenths of a window in a ring; an old one is dropped when its place is used again."""

    def __init__(self, make: Callable[[], Bucket], seconds: float, clock: Callable[[], float]) -> None:
        self._make = make
        self._width = seconds / _BUCKETS
        self._clock = clock
        self._numbered: dict[int, tuple[int, Bucket]] = {}

    def current(self) -> Bucket:
        number = int(self._clock() / self._width)
        place = number % _BUCKETS
        known = self._numbered.get(place)
        if known is None or known[0] != number:
            known = self._numbered[place] = number, self._make()
        return known[1]

    def recent(self) -> Iterable[Bucket]:
        oldest = int(self._clock() / self._width) - _BUCKETS
        return [bucket for number, bucket in self._numbered.values() if number > oldest]

    def clear(self) -> None:
        self._numbered.clear()


def _has_failed(counts: Counts, rules: BreakerRules) -> bool:
    return counts.failed >= rules.failure_share * counts.calls


def _is_slow(counts: Counts, rules: BreakerRules) -> bool:
    return counts.slow >= rules.slow_share * counts.calls


def _sum(parts: Iterable[Counts]) -> Counts:
    total = Counts()
    for part in parts:
        total.add(part)
    return total


def _merge(parts: Iterable[dict[Hashable, Counts]]) -> dict[Hashable, Counts]:
    merged: defaultdict[Hashable, Counts] = defaultdict(Counts)
    for part in parts:
        for key, counts in part.items():
            merged[key].add(counts)
    return merged


_MAX_CALLERS = 10_000


class Ticket(NamedTuple):
    """A call that was let through."""

    caller_key: bytes | None
    question: int
    api_ticket: int
    caller_ticket: int


class _CallerBreaker(Breaker):
    """The breaker of one caller, with the window that it judges by."""

    def __init__(self, rules: BreakerRules, clock: Callable[[], float]) -> None:
        self.window = CallerWindow(rules, clock)
        super().__init__(self.window, open_seconds=rules.open_seconds, clock=clock)


class CircuitBreakers:
    """Lets a call through unless the API, or this caller, has failed too often.

    Args:
        rules: the same for the API and for each caller.
        clock: monotonic seconds.

    `opened` says how often a breaker opened, by scope: `api` or `caller`.
    """

    def __init__(self, rules: BreakerRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._served: LRUCache[Hashable, None] = LRUCache(_MAX_CALLERS)
        self._window = ApiWindow(rules, clock, self._served.__contains__)
        self.api = Breaker(self._window, open_seconds=rules.open_seconds, clock=clock)
        # Callers whose calls never failed have none; the least recently used ones are dropped.
        self._by_caller: LRUCache[bytes, _CallerBreaker] = LRUCache(_MAX_CALLERS)
        self.opened = {"api": 0, "caller": 0}

    def is_shut(self, caller_key: bytes | None) -> bool:
        """Return whether a call that this caller began now would be refused."""
        own = self._own(caller_key)
        is_shut_out = own is not None and own.is_shut()
        return is_shut_out or self.api.is_shut(caller_key, may_probe=self._may_probe(caller_key))

    def begin(self, caller_key: bytes | None, question: Hashable) -> Ticket | None:
        """Return a ticket to hand back to `end`, or `None` if the call is refused."""
        own = self._own(caller_key)
        if own is not None and own.is_shut():
            return None
        api_ticket = self.api.begin(caller_key, may_probe=self._may_probe(caller_key))
        if api_ticket is None:
            return None
        caller_ticket = own.begin() if own else 0
        assert caller_ticket is not None, "it is not shut"  # noqa: S101  # for mypy
        return Ticket(caller_key, hash(question), api_ticket, caller_ticket)

    def end(self, ticket: Ticket, result: CallResult) -> None:
        """Take back a ticket, once, whatever became of its call."""
        if result is not CallResult.UNKNOWN:
            self._window.count(result, caller_key=ticket.caller_key, question=ticket.question)
        if result is CallResult.FINE and ticket.caller_key not in self._served:
            self._served[ticket.caller_key] = None
        if self.api.end(ticket.api_ticket, result):
            self._report("api", None)
        # Without a connection, the caller is not to blame.
        self._end_own(ticket, CallResult.UNKNOWN if result is CallResult.UNREACHABLE else result)

    def _may_probe(self, caller_key: bytes | None) -> bool:
        # Tokens can be made up: callers who got a page before go first.
        return caller_key in self._served or self._served.currsize < 2

    def _own(self, caller_key: bytes | None) -> _CallerBreaker | None:
        # Usually no caller has one, and checking for that is cheaper than a look-up.
        if caller_key is None or not self._by_caller.currsize:
            return None
        return self._by_caller.get(caller_key)

    def _end_own(self, ticket: Ticket, result: CallResult) -> None:
        caller_key = ticket.caller_key
        own = self._own(caller_key)
        if own is None:
            if caller_key is None or result not in BAD:
                return
            own = self._by_caller[caller_key] = _CallerBreaker(self._rules, self._clock)
        if result is not CallResult.UNKNOWN:
            own.window.count(result)
        if own.end(ticket.caller_ticket, result):
            self._report("caller", caller_key)

    def _report(self, scope: str, caller_key: bytes | None) -> None:
        self.opened[scope] += 1
        caller = caller_key[:4].hex() if caller_key else None
        log_event("breaker.opened", level=logging.WARNING, scope=scope, caller=caller)
