"""Sliding windows of calls, and when they are failing: one for a caller, one for the whole API."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gallery_gateway.upstream.resilience.breaker import BreakerRules, CallResult

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
