"""What stands around each upstream call: remembered rate limits, breakers, the concurrency limit, retries."""

import asyncio
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from cachetools import LRUCache

from gallery_gateway.errors import (
    GatewayError,
    RateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.breaker import BAD, BreakerRules, CallResult, CircuitBreakers, Ticket
from gallery_gateway.upstream.limiter import ConcurrencyLimiter, LimiterRules
from gallery_gateway.upstream.retries import Retries, RetryRules


@dataclass(slots=True, eq=False)
class Deadline:
    """The deadline of a call, in the loop's seconds. As a context, it ends the call of the current task.

    Operations that join the call may extend it, and none can shorten it. asyncio.timeout_at, whose way of
    cancelling this is, takes several times as long.
    """

    at: float
    _has_passed: bool = field(default=False, init=False)
    _task: Any = field(init=False)
    _timer: asyncio.TimerHandle = field(init=False)

    def __enter__(self) -> None:
        self._task, self._has_passed = asyncio.current_task(), False
        self._set_timer()

    def __exit__(self, _class: object, error: BaseException | None, _traceback: object) -> None:
        """Raises: UpstreamTimeoutError: the deadline passed."""
        self._timer.cancel()
        # The task may have been cancelled for another reason, too.
        if self._has_passed and not self._task.uncancel() and isinstance(error, asyncio.CancelledError):
            raise UpstreamTimeoutError(kind="given_up") from error

    @property
    def remaining_seconds(self) -> float:
        return self.at - asyncio.get_running_loop().time()

    def extend(self, at: float) -> None:
        self.at = max(self.at, at)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self.at, self._end, self.at)

    def _end(self, at: float) -> None:
        """End the call, unless the deadline has been extended since the timer was set."""
        if at < self.at:
            self._set_timer()
        else:
            self._has_passed = True
            self._task.cancel()


_MAX_CALLERS = 10_000

# If the API asks a caller by mistake to wait for a year, the caller may call again after an hour.
_MAX_WAIT_SECONDS = 3_600.0


class RateLimitMemory:
    """Until when each caller has to wait after a 429; the least recently used callers are dropped.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float], max_callers: int = _MAX_CALLERS) -> None:
        self._clock = clock
        self._until: LRUCache[bytes, float] = LRUCache(max_callers)

    def remember(self, caller_key: bytes, seconds: float) -> None:
        self._until[caller_key] = self._clock() + min(seconds, _MAX_WAIT_SECONDS)

    def check(self, caller_key: bytes) -> None:
        """Raises: RateLimitedError: the REST API asked the caller to wait."""
        seconds = self.remaining_seconds(caller_key)
        if seconds:
            raise RateLimitedError(retry_after_seconds=math.ceil(seconds))

    def remaining_seconds(self, caller_key: bytes) -> float:
        """Return how long the caller has to wait; 0 if it may call."""
        until = self._until.get(caller_key)
        if until is None:
            return 0.0
        remaining = until - self._clock()
        if remaining <= 0:
            del self._until[caller_key]
        return max(0.0, remaining)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResilienceRules:
    """The constants of resilience. Production uses the defaults; tests pass others, mostly shorter times.

    Args:
        slow_seconds: duration from which a call is slow, for the breakers and the concurrency limit. It is
            half of the time in which clients usually give up.
        read_timeout_seconds: longest silence within a response. An API that has begun to answer has the page
            ready, so this is shorter than the timeout of the call.
    """

    breaker: BreakerRules = field(default_factory=BreakerRules)
    limiter: LimiterRules = field(default_factory=LimiterRules)
    retries: RetryRules = field(default_factory=RetryRules)
    slow_seconds: float = 10.0
    read_timeout_seconds: float = 20.0


PRODUCTION_RULES = ResilienceRules()


class Resilience:
    """Admits the calls of one REST API and counts how they end, for the life of a process.

    Args:
        max_attempts: calls for one page; 1 disables retries.
        max_connections: upper bound of the concurrency limit.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        rules: ResilienceRules = PRODUCTION_RULES,
        *,
        max_attempts: int,
        max_connections: int,
        clock: Callable[[], float],
    ) -> None:
        self.breakers = CircuitBreakers(rules.breaker, clock)
        self.limiter = ConcurrencyLimiter(rules.limiter, max_calls=max_connections)
        self.retries = Retries(rules.retries, max_attempts=max_attempts, clock=clock)
        self.rate_limits = RateLimitMemory(clock=clock)
        self._slow_seconds = rules.slow_seconds
        self._clock = clock

    async def admit(self, caller_key: bytes, request: Hashable, *, attempt: int) -> Ticket:
        """Wait until a call may begin; return its ticket, to be handed back to `release`.

        Args:
            caller_key: whose call it is.
            request: what is requested, so that one request that always fails is not taken for an outage.
            attempt: number of the attempt, from 1.

        Raises:
            GatewayError: the call may not be made.
        """
        self.rate_limits.check(caller_key)
        if not self.limiter.try_enter(caller_key):
            if self.breakers.is_shut(caller_key):
                raise UpstreamUnavailableError(kind="breaker_open")
            await self.limiter.wait(caller_key)
        ticket = self.breakers.begin(caller_key, request)
        if ticket is None:
            self.limiter.leave(caller_key, is_congested=None)
            raise UpstreamUnavailableError(kind="breaker_open")
        if attempt == 1:
            self.retries.budget.calls += 1
            own = self.retries.caller_budgets.get(caller_key)
            if own is not None:
                own.calls += 1
        ticket.began_at, ticket.limit_era = self._clock(), self.limiter.limit.era
        return ticket

    def record_failure(self, ticket: Ticket, error: GatewayError) -> None:
        """Record what the error of a call shows about the API and the caller."""
        consequences = error.consequences
        if not consequences.counts_for_breaker:
            ticket.result = CallResult.REFUSED
        else:
            ticket.result = CallResult.UNREACHABLE if consequences.is_unreachable else CallResult.FAILED
        ticket.is_congestion = consequences.is_congestion
        if consequences.pauses_caller and error.retry_after_seconds:
            self.rate_limits.remember(ticket.caller_key, error.retry_after_seconds)

    def release(self, ticket: Ticket) -> None:
        """Take back the ticket of a call that ended in any way, once."""
        result, is_congestion = ticket.result, ticket.is_congestion
        if result not in BAD and self._clock() - ticket.began_at >= self._slow_seconds:
            # This includes a call that is given up after such a time.
            result, is_congestion = CallResult.SLOW, True
        self.breakers.end(ticket, result)
        self.limiter.leave(
            ticket.caller_key,
            ticket.limit_era,
            is_congested=None if result is CallResult.UNKNOWN else is_congestion,
        )
