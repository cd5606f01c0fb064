"""Calls that are made again: which, when, and how many of them."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from gallery_gateway.errors import GatewayError
from gallery_gateway.telemetry.logs import log_event

Value = TypeVar("Value")

# What a quiet gateway may retry at once.
_MOST_KEPT = 10.0


class RetryBudget:
    """So that retries do not become the load that keeps an endpoint down.

    Args:
        share: how many retries a call earns, from 0 to 1.
        least_per_second: retries that are earned by waiting.
        clock: seconds that never run backwards; a test passes its own.
    """

    def __init__(self, *, share: float, least_per_second: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._least_per_second = least_per_second
        self._clock = clock
        self._kept = _MOST_KEPT if share or least_per_second else 0.0
        self._counted_at = clock()

    def earn(self) -> None:
        """To be called for each call that is no retry."""
        self._kept = min(_MOST_KEPT, self._kept + self._share)

    def spend(self) -> bool:
        """Whether there is a retry left; it is taken."""
        now = self._clock()
        earned = (now - self._counted_at) * self._least_per_second
        self._kept = min(_MOST_KEPT, self._kept + earned)
        self._counted_at = now
        if self._kept < 1:
            return False
        self._kept -= 1
        return True


class Retries:
    """Waits longer from one attempt to the next, by a random share of it (full jitter), and not for ever.

    Args:
        max_attempts: calls in all; 1 = no retries.
        first_wait_seconds: most that is waited before the first retry; twice as much before each other.
        max_wait_seconds: most that is waited at all; who is told to wait for longer is not kept waiting.
        uniform: a random number between two.
    """

    def __init__(
        self,
        budget: RetryBudget,
        *,
        max_attempts: int,
        first_wait_seconds: float,
        max_wait_seconds: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.budget = budget
        self._max_attempts = max_attempts
        self._first_wait_seconds = first_wait_seconds
        self._max_wait_seconds = max_wait_seconds
        self._uniform = uniform
        self._retried = 0

    @property
    def retried(self) -> int:
        """How many retries there have been."""
        return self._retried

    async def retry(
        self,
        failed: GatewayError,
        call: Callable[[], Awaitable[Value]],
        *,
        remaining_seconds: Callable[[], float],
    ) -> Value:
        """Makes a call again that has failed once.

        Raises:
            GatewayError: the last failure.
        """
        number = 1

        def wait_seconds(error: Exception) -> float | bool:
            return self.wait_seconds(error, number=number, remaining_seconds=remaining_seconds())

        # Stamina's way costs more than a call does, so what succeeds at once never comes here.
        async for attempt in stamina.retry_context(
            on=wait_seconds, attempts=self._max_attempts, timeout=None
        ):
            with attempt:
                number = attempt.num
                if number == 1:
                    raise failed
                self._retried += 1
                return await call()
        raise AssertionError

    def wait_seconds(self, error: Exception, *, number: int, remaining_seconds: float) -> float | bool:
        """How long to wait after the failure of this attempt, counted from 1; False = no retry."""
        if not isinstance(error, GatewayError) or not error.may_pass or number >= self._max_attempts:
            return False
        longest = min(self._max_wait_seconds, self._first_wait_seconds * 2 ** (number - 1))
        told = error.retry_after_seconds or 0.0
        # Who was told to wait for the same time would come back at the same time.
        wait = told + self._uniform(0.0, longest)
        if told > self._max_wait_seconds or wait >= remaining_seconds or not self.budget.spend():
            return False
        log_event("call.retried", code=error.code, attempt=number + 1, wait_seconds=wait)
        return wait
