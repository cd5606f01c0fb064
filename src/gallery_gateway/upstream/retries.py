"""Retries: which failures are retried, after how long, and how many there may be."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import LRUCache

from gallery_gateway.errors import GatewayError
from gallery_gateway.telemetry.logs import log_event

_MAX_CALLERS = 10_000

# Retries that an idle gateway saves up for the first failures.
_MAX_SAVED_RETRIES = 10.0

# Share of the retries earned by waiting that one caller may spend.
_CALLER_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """How long retries wait, and how many there may be.

    Args:
        first_wait_seconds: longest wait before the first retry, doubled before each further one.
        max_wait_seconds: longest wait, and the longest `Retry-After` that the gateway waits for. Longer ones
            go to the client, who can plan for them.
        budget_share: retries that each first attempt earns. A fifth hides single failures, and adds little
            load to an API that is down.
        min_per_second: retries earned by waiting, so that a gateway with few calls may retry at all.
    """

    first_wait_seconds: float = 0.1
    max_wait_seconds: float = 2.0
    budget_share: float = 0.2
    min_per_second: float = 1.0


class RetryBudget:
    """A token bucket of retries, which keeps them from becoming the load that keeps the API down.

    Args:
        share: retries that each first attempt earns, from 0 to 1.
        min_per_second: retries earned by waiting.
        clock: monotonic seconds.

    `calls` counts the first attempts since the last retry; `Resilience.admit` adds to it.
    """

    def __init__(self, *, share: float, min_per_second: float, clock: Callable[[], float]) -> None:
        self.calls = 0
        self._share = share
        self._min_per_second = min_per_second
        self._clock = clock
        self._saved = _MAX_SAVED_RETRIES if share or min_per_second else 0.0
        self._counted_at = clock()

    def has_left(self) -> bool:
        now = self._clock()
        earned = (now - self._counted_at) * self._min_per_second + self.calls * self._share
        self._saved = min(_MAX_SAVED_RETRIES, self._saved + earned)
        self._counted_at, self.calls = now, 0
        return self._saved >= 1

    def spend(self) -> bool:
        """Take a retry and return `True`, or return `False` if none is left."""
        if not self.has_left():
            return False
        self._saved -= 1
        return True


class Retries:
    """Retries with exponential waits, each a random share of the longest one (full jitter).

    All calls share `budget`. Each caller that retries also has one of `caller_budgets`, so that no caller
    spends everything that the others earn.

    Args:
        max_attempts: calls in all; 1 disables retries.
        clock: monotonic seconds.
        uniform: returns a random number between two others.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        rules: RetryRules,
        *,
        max_attempts: int,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rules = rules
        self._max_attempts = max_attempts
        self._clock = clock
        self._uniform = uniform
        self._sleep = sleep
        self.budget = RetryBudget(share=rules.budget_share, min_per_second=rules.min_per_second, clock=clock)
        self.caller_budgets: LRUCache[bytes, RetryBudget] = LRUCache(_MAX_CALLERS)

    async def wait(
        self, error: GatewayError, *, attempt: int, caller_key: bytes, remaining_seconds: float
    ) -> bool:
        """Wait until the call may be made again and return `True`, or return `False` if it may not.

        Args:
            error: why the call failed.
            caller_key: whose budget pays for the retry.
            attempt: number of the failed attempt, from 1.
            remaining_seconds: until the deadline of the call.
        """
        seconds = self.wait_seconds(error, attempt=attempt, remaining_seconds=remaining_seconds)
        if seconds is None or not self.spend(caller_key):
            return False
        log_event("call.retried", code=error.code, attempt=attempt + 1, wait_seconds=seconds)
        await self._sleep(seconds)
        return True

    def wait_seconds(self, error: GatewayError, *, attempt: int, remaining_seconds: float) -> float | None:
        """Return how long to wait before the next attempt, or `None` if there is none."""
        if not error.consequences.is_retried or attempt >= self._max_attempts:
            return None
        rules = self._rules
        longest = min(rules.max_wait_seconds, rules.first_wait_seconds * 2 ** (attempt - 1))
        retry_after = error.retry_after_seconds or 0.0
        # Without jitter, all calls with the same Retry-After would be repeated at the same moment.
        seconds = retry_after + self._uniform(0.0, longest)
        is_too_long = retry_after > rules.max_wait_seconds or seconds >= remaining_seconds
        return None if is_too_long else seconds

    def spend(self, caller_key: bytes) -> bool:
        """Take a retry and return `True`, or return `False` if the caller or all callers have none left."""
        own = self.caller_budgets.get(caller_key)
        if own is None:
            own = self.caller_budgets[caller_key] = RetryBudget(
                share=self._rules.budget_share,
                min_per_second=_CALLER_SHARE * self._rules.min_per_second,
                clock=self._clock,
            )
        return self.budget.has_left() and own.spend() and self.budget.spend()
