"""Retries: which failures are tried again, after how long, and how many of them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import TypeVar

from cachetools import LRUCache

from gallery_gateway.errors import GatewayError
from gallery_gateway.telemetry.logs import log_event

Value = TypeVar("Value")

# What a quiet gateway may retry at once.
_MAX_SAVED = 10.0

_MAX_CALLERS = 10_000

# The share of the retries earned by waiting that one caller may spend.
_CALLER_SHARE = 0.5


class RetryBudget:
    """A token bucket of retries, so that they do not become the load that keeps the API down.

    Args:
        share: retries that each call earns, from 0 to 1.
        min_per_second: retries that are earned by waiting.
        clock: monotonic seconds.
    """

    def __init__(self, *, share: float, min_per_second: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._min_per_second = min_per_second
        self._clock = clock
        self._saved = _MAX_SAVED if share or min_per_second else 0.0
        self._counted_at = clock()

    def earn(self) -> None:
        """Count a call that is no retry."""
        self._saved = min(_MAX_SAVED, self._saved + self._share)

    def has_left(self) -> bool:
        now = self._clock()
        earned = (now - self._counted_at) * self._min_per_second
        self._saved = min(_MAX_SAVED, self._saved + earned)
        self._counted_at = now
        return self._saved >= 1

    def spend(self) -> bool:
        """Take a retry and return `True`, or return `False` if none is left."""
        if not self.has_left():
            return False
        self._saved -= 1
        return True


class RetryBudgets:
    """A budget for all calls, and one for each caller that retries, so that none spends all of the first."""

    def __init__(self, *, share: float, min_per_second: float, clock: Callable[[], float]) -> None:
        self._all = RetryBudget(share=share, min_per_second=min_per_second, clock=clock)
        self._own = partial(
            RetryBudget, share=share, min_per_second=_CALLER_SHARE * min_per_second, clock=clock
        )
        self._by_caller: LRUCache[bytes, RetryBudget] = LRUCache(_MAX_CALLERS)

    def earn(self, caller_key: bytes | None) -> None:
        """Count a call that is no retry."""
        self._all.earn()
        own = None if caller_key is None else self._by_caller.get(caller_key)
        if own is not None:
            own.earn()

    def spend(self, caller_key: bytes | None) -> bool:
        """Take a retry and return `True`, or return `False` if the caller or all callers have none left."""
        if caller_key is None:
            return self._all.spend()
        own = self._by_caller.get(caller_key)
        if own is None:
            own = self._by_caller[caller_key] = self._own()
        return self._all.has_left() and own.spend() and self._all.spend()


class Retries:
    """Retries with exponential waits, each a random share of the longest (full jitter).

    Args:
        max_attempts: calls in all; 1 = no retries.
        first_wait_seconds: longest wait before the first retry, doubled before each other.
        max_wait_seconds: longest wait, and longest `Retry-After` that is waited for.
        uniform: a random number between two.
        sleep: a coroutine that waits.
    """

    def __init__(
        self,
        budgets: RetryBudgets,
        *,
        max_attempts: int,
        first_wait_seconds: float,
        max_wait_seconds: float,
        uniform: Callable[[float, float], float] = random.uniform,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.budgets = budgets
        self._max_attempts = max_attempts
        self._first_wait_seconds = first_wait_seconds
        self._max_wait_seconds = max_wait_seconds
        self._uniform = uniform
        self._sleep = sleep

    async def retry(
        self,
        failed: GatewayError,
        call: Callable[[], Awaitable[Value]],
        *,
        caller_key: bytes | None,
        remaining_seconds: Callable[[], float],
    ) -> Value:
        """Make a call again that has failed once.

        Raises:
            GatewayError: the last failure.
        """
        for number in count(1):
            wait = self.wait_seconds(failed, number=number, remaining_seconds=remaining_seconds())
            if wait is None or not self.budgets.spend(caller_key):
                break
            log_event("call.retried", code=failed.code, attempt=number + 1, wait_seconds=wait)
            await self._sleep(wait)
            try:
                return await call()
            except GatewayError as exc:
                failed = exc
        raise failed

    def wait_seconds(self, error: GatewayError, *, number: int, remaining_seconds: float) -> float | None:
        """Return how long to wait after the failure of this attempt, counted from 1; `None`: no retry."""
        if not error.consequences.is_retried or number >= self._max_attempts:
            return None
        longest = min(self._max_wait_seconds, self._first_wait_seconds * 2 ** (number - 1))
        told = error.retry_after_seconds or 0.0
        # With jitter, or all that were given the same time would come back at the same time.
        wait = told + self._uniform(0.0, longest)
        is_too_long = told > self._max_wait_seconds or wait >= remaining_seconds
        return None if is_too_long else wait
