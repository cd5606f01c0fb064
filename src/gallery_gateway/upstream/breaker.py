"""Circuit breakers: one for the REST API, and one for each caller whose calls fail.

An open breaker lets no call through for a while. Then it is half-open: one call, the probe, goes through, and
its result closes the breaker or opens it again.

pybreaker, purgatory and aiobreaker were tried: they count consecutive failures instead of shares, and do not
tell callers apart.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

from cachetools import LRUCache

from gallery_gateway.telemetry.logs import log_event


class State(Enum):
    """State of a breaker; a closed one lets calls through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallResult(Enum):
    """What a call shows about the REST API.

    `FINE` is a page. `REFUSED` is an answer about the caller or the request, such as 401, 404 or 429.
    `UNREACHABLE` is a call without a connection, for which no caller can be to blame. `UNKNOWN` is a call
    that ended without a result because no operation waited for it any longer.
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
        slow_share: share of the calls in the window that have to be slow. It is high, because a slow API is
            the concurrency limiter's business first.
        min_calls: a window with fewer calls opens nothing.
        window_seconds: how long a call counts.
        open_seconds: how long no call is let through before the probe.
    """

    failure_share: float = 0.5
    slow_share: float = 0.9
    min_calls: int = 20
    window_seconds: float = 10.0
    open_seconds: float = 5.0


@dataclass(slots=True)
class Counts:
    """Numbers of calls; `failed` includes `unreachable`."""

    calls: int = 0
    failed: int = 0
    slow: int = 0
    unreachable: int = 0

    def add(self, result: CallResult, number: int) -> None:
        self.calls += number
        if result is CallResult.FINE:
            return
        if result is CallResult.SLOW:
            self.slow += number
        elif result in BAD:
            self.failed += number
            self.unreachable += number * (result is CallResult.UNREACHABLE)

    def has_failed(self, rules: BreakerRules) -> bool:
        return self.failed >= rules.failure_share * self.calls

    def is_slow(self, rules: BreakerRules) -> bool:
        return self.slow >= rules.slow_share * self.calls


class Window:
    """The results of the last seconds: in total, and by any keys that a call has."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.totals = Counts()
        self.by_key: defaultdict[Hashable, Counts] = defaultdict(Counts)
        self._seconds = seconds
        self._clock = clock
        self._calls: deque[tuple[float, CallResult, tuple[Hashable, ...]]] = deque()

    def add(self, result: CallResult, *keys: Hashable) -> None:
        now = self._clock()
        self._calls.append((now, result, keys))
        self._count(result, keys, 1)
        while self._calls[0][0] <= now - self._seconds:
            _, old_result, old_keys = self._calls.popleft()
            self._count(old_result, old_keys, -1)

    def clear(self) -> None:
        self._calls.clear()
        self.by_key.clear()
        self.totals = Counts()

    def _count(self, result: CallResult, keys: tuple[Hashable, ...], number: int) -> None:
        self.totals.add(result, number)
        for key in keys:
            counts = self.by_key[key]
            counts.add(result, number)
            if not counts.calls:
                del self.by_key[key]


# A caller that may not probe does so all the same after this many pauses, if no other caller has.
_LAST_RESORT_PAUSES = 6
_MAX_FAILED_PROBERS = 1_000


class Breaker:
    """The breaker of one caller: it opens if enough of its calls failed or were slow.

    A caller whose probe failed, or took longer than `open_seconds`, leaves the next probes to other callers:
    its own bad request must not decide for all of them.
    """

    def __init__(self, rules: BreakerRules, clock: Callable[[], float]) -> None:
        self.state = State.CLOSED
        self._rules = rules
        self._clock = clock
        self._window = Window(rules.window_seconds, clock)
        self._open_until = 0.0
        # Counts the changes of state: a call that began in an earlier state shows nothing about this one.
        self._epoch = 0
        self._prober: bytes | None = None
        self._probe_ends_at = 0.0
        self._failed_probers: set[bytes] = set()

    def is_shut(self, caller_key: bytes | None = None, *, may_probe: bool = True) -> bool:
        """Return whether a call that this caller began now would be refused."""
        if self.state is State.CLOSED:
            return False
        now = self._clock()
        is_last_resort = not may_probe or caller_key in self._failed_probers
        pause = _LAST_RESORT_PAUSES * self._rules.open_seconds if is_last_resort else 0.0
        if self.state is State.HALF_OPEN:
            return caller_key == self._prober or now < self._probe_ends_at + pause
        return now < self._open_until + pause

    def begin(self, caller_key: bytes | None = None, *, may_probe: bool = True) -> int | None:
        """Return the epoch to hand back to `end`, or `None` if the call is refused."""
        if self.state is State.CLOSED:
            return self._epoch
        if self.is_shut(caller_key, may_probe=may_probe):
            return None
        if self.state is State.HALF_OPEN:
            # The probe under way takes too long.
            self._exclude_prober()
        self._change(State.HALF_OPEN)
        self._prober = caller_key
        self._probe_ends_at = self._clock() + self._rules.open_seconds
        return self._epoch

    def end(self, epoch: int, result: CallResult, *keys: Hashable) -> bool:
        """Count a call, once; return whether it opened the breaker."""
        if result is not CallResult.UNKNOWN:
            self._window.add(result, *keys)
        if epoch != self._epoch or (result is CallResult.FINE and self.state is State.CLOSED):
            return False
        if self.state is State.HALF_OPEN:
            return self._judge_probe(result)
        if result in BAD and self._is_failing():
            self._open(self._rules.open_seconds)
            return True
        return False

    def _is_failing(self) -> bool:
        totals, rules = self._window.totals, self._rules
        if totals.calls < rules.min_calls:
            return False
        if totals.unreachable >= rules.failure_share * totals.calls:
            return True
        return (totals.has_failed(rules) and self._is_widespread(Counts.has_failed)) or (
            totals.is_slow(rules) and self._is_widespread(Counts.is_slow)
        )

    def _is_widespread(self, is_bad: Callable[[Counts, BreakerRules], bool]) -> bool:  # noqa: ARG002
        """Return whether enough of the callers and requests are bad; here, they are those of one caller."""
        return True

    def _judge_probe(self, result: CallResult) -> bool:
        if result in {CallResult.FINE, CallResult.REFUSED}:
            self._window.clear()
            self._failed_probers.clear()
            self._change(State.CLOSED)
        elif result is CallResult.UNKNOWN:
            # The next call, of any caller, becomes the probe.
            self._open(0.0)
        else:
            self._exclude_prober()
            self._open(self._rules.open_seconds)
        return result in BAD

    def _exclude_prober(self) -> None:
        if self._prober is not None and len(self._failed_probers) < _MAX_FAILED_PROBERS:
            self._failed_probers.add(self._prober)

    def _open(self, seconds: float) -> None:
        self._open_until = self._clock() + seconds
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self.state = state
        self._epoch += 1


# Checking all callers and requests takes time. After a check that finds no outage, the next bad calls go
# unchecked: their number is this share of the number of callers and requests.
_LOOK_AGAIN_SHARE = 0.01


class ApiBreaker(Breaker):
    """The breaker of all callers.

    It opens if enough calls found no connection, or if enough calls failed or were slow *and* this holds for
    more than half of the callers, at least two, *and* for more than half of the requests. So neither one
    caller nor one request that the API cannot answer opens it for the others.

    The keys of a call are the caller's key and an `int` that stands for the request.

    Args:
        served: callers that ever got a page. Tokens can be made up, so only these count, if there are at
            least two.
    """

    def __init__(
        self, rules: BreakerRules, clock: Callable[[], float], served: LRUCache[Hashable, None]
    ) -> None:
        super().__init__(rules, clock)
        self._served = served
        self._skipped_looks = 0

    def _is_widespread(self, is_bad: Callable[[Counts, BreakerRules], bool]) -> bool:
        if self._skipped_looks > 0:
            self._skipped_looks -= 1
            return False
        by_key = self._window.by_key
        callers = [counts for key, counts in by_key.items() if not isinstance(key, int)]
        requests = [counts for key, counts in by_key.items() if isinstance(key, int)]
        served = [counts for key, counts in by_key.items() if key in self._served]
        if len(served) >= 2:
            callers = served
        bad_callers = sum(is_bad(counts, self._rules) for counts in callers)
        bad_requests = sum(is_bad(counts, self._rules) for counts in requests)
        if bad_callers >= 2 and 2 * bad_callers > len(callers) and 2 * bad_requests > len(requests):
            return True
        self._skipped_looks = int(_LOOK_AGAIN_SHARE * len(by_key))
        return False


@dataclass(slots=True)
class Ticket:
    """A call that was let through.

    Args:
        request: hash of what is requested.
        api_epoch, caller_epoch: of the two breakers.
        limit_era: of the concurrency limit.
        result: what the call showed; `UNKNOWN` until it ends.
    """

    caller_key: bytes
    request: int
    api_epoch: int
    caller_epoch: int
    began_at: float = 0.0
    limit_era: int = 0
    result: CallResult = CallResult.UNKNOWN
    is_congestion: bool = False


_MAX_CALLERS = 10_000


class CircuitBreakers:
    """Lets a call through unless the calls of the API, or of this caller, failed too often.

    Args:
        rules: the same for the API and for each caller.
        clock: monotonic seconds.

    `opened` counts how often a breaker opened, by scope: `api` or `caller`.
    """

    def __init__(self, rules: BreakerRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._served: LRUCache[Hashable, None] = LRUCache(_MAX_CALLERS)
        self.api = ApiBreaker(rules, clock, self._served)
        # Callers whose calls never failed have none; the least recently used ones are dropped.
        self._by_caller: LRUCache[bytes, Breaker] = LRUCache(_MAX_CALLERS)
        self.opened = {"api": 0, "caller": 0}

    def is_shut(self, caller_key: bytes) -> bool:
        """Return whether a call that this caller began now would be refused."""
        own = self._own(caller_key)
        is_shut_out = own is not None and own.is_shut()
        return is_shut_out or self.api.is_shut(caller_key, may_probe=self._may_probe(caller_key))

    def begin(self, caller_key: bytes, request: Hashable) -> Ticket | None:
        """Return a ticket to hand back to `end`, or `None` if the call is refused."""
        own = self._own(caller_key)
        if own is not None and own.is_shut():
            return None
        api_epoch = self.api.begin(caller_key, may_probe=self._may_probe(caller_key))
        if api_epoch is None:
            return None
        caller_epoch = own.begin() if own else 0
        assert caller_epoch is not None, "it is not shut"  # noqa: S101  # for mypy
        return Ticket(caller_key, hash(request), api_epoch, caller_epoch)

    def end(self, ticket: Ticket, result: CallResult) -> None:
        """Count the call of a ticket, once."""
        caller_key = ticket.caller_key
        if result is CallResult.FINE and caller_key not in self._served:
            self._served[caller_key] = None
        if self.api.end(ticket.api_epoch, result, caller_key, ticket.request):
            self._report("api", None)
        own = self._own(caller_key)
        if own is None and result in (CallResult.SLOW, CallResult.FAILED):
            own = self._by_caller[caller_key] = Breaker(self._rules, self._clock)
        # Without a connection, the caller is not to blame.
        own_result = CallResult.UNKNOWN if result is CallResult.UNREACHABLE else result
        if own is not None and own.end(ticket.caller_epoch, own_result):
            self._report("caller", caller_key)

    def _may_probe(self, caller_key: bytes) -> bool:
        # Tokens can be made up: callers that got a page before go first.
        return caller_key in self._served or self._served.currsize < 2

    def _own(self, caller_key: bytes) -> Breaker | None:
        # Usually no caller has one, and checking for that is cheaper than a look-up.
        return self._by_caller.get(caller_key) if self._by_caller.currsize else None

    def _report(self, scope: str, caller_key: bytes | None) -> None:
        self.opened[scope] += 1
        caller = caller_key[:4].hex() if caller_key else None
        log_event("breaker.opened", level=logging.WARNING, scope=scope, caller=caller)
