"""A call of the endpoint with all that stands around it: pause, breaker, gate, retries."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gallery_gateway.errors import (
    GatewayError,
    RateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.resilience.breaker import Breaker, Outcome
from gallery_gateway.upstream.resilience.deadline import Deadline
from gallery_gateway.upstream.resilience.gate import Gate
from gallery_gateway.upstream.resilience.pauses import Pauses
from gallery_gateway.upstream.resilience.retries import Retries

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resilience:
    """For one endpoint and the life of a process; its parts can be looked at, for metrics.

    Args:
        slow_seconds: a call that takes as long as this is slow, for the breaker and for the limit.
        clock: seconds that never run backwards; a test passes its own.
    """

    breaker: Breaker
    gate: Gate
    retries: Retries
    pauses: Pauses
    slow_seconds: float
    clock: Callable[[], float]

    async def run(
        self,
        call: Callable[[], Awaitable[Value]],
        *,
        caller_key: bytes | None,
        deadline: Deadline | None,
    ) -> Value:
        """What the call gives; no retry is waited for beyond `deadline`.

        `caller_key` is who is kept from asking too soon; None = nobody.

        Raises:
            GatewayError: it failed for good, or was not made at all.
        """
        self.retries.budget.earn()
        try:
            return await self._attempt(call, caller_key)
        except GatewayError as exc:
            if not exc.may_pass:
                raise
            failed = exc
        return await self.retries.retry(
            failed,
            lambda: self._attempt(call, caller_key),
            remaining_seconds=lambda: deadline.remaining_seconds if deadline else math.inf,
        )

    async def _attempt(self, call: Callable[[], Awaitable[Value]], caller_key: bytes | None) -> Value:
        self._check_pause(caller_key)
        if self.breaker.is_shut:
            raise _left_alone()
        await self.gate.enter()
        # It may have opened while this one waited.
        ticket = self.breaker.begin()
        if ticket is None:
            self.gate.leave(is_congested=None)
            raise _left_alone()
        outcome, is_congested = Outcome.UNKNOWN, False
        began = self.clock(), self.gate.limit.era
        try:
            value = await call()
            outcome = Outcome.FINE
        except GatewayError as exc:
            outcome, is_congested = _told(exc)
            self._heed(exc, caller_key)
            raise
        finally:
            self._end(ticket, outcome, is_congested=is_congested, began=began)
        return value

    def _end(self, ticket: int, outcome: Outcome, *, is_congested: bool, began: tuple[float, int]) -> None:
        started, era = began
        if outcome is not Outcome.FAILED and self.clock() - started >= self.slow_seconds:
            # Those too that were given up: they took as long as that without an end.
            outcome, is_congested = Outcome.SLOW, True
        self.breaker.end(ticket, outcome)
        self.gate.leave(era, is_congested=None if outcome is Outcome.UNKNOWN else is_congested)

    def _check_pause(self, caller_key: bytes | None) -> None:
        seconds = 0.0 if caller_key is None else self.pauses.remaining_seconds(caller_key)
        if seconds:
            raise RateLimitedError("The gallery was asked too often.", retry_after_seconds=math.ceil(seconds))

    def _heed(self, error: GatewayError, caller_key: bytes | None) -> None:
        if isinstance(error, RateLimitedError) and error.retry_after_seconds and caller_key is not None:
            self.pauses.pause(caller_key, error.retry_after_seconds)


def _told(error: GatewayError) -> tuple[Outcome, bool]:
    """What an error tells about the endpoint, and whether it is one of having too much to do."""
    if isinstance(error, UpstreamTimeoutError):
        return Outcome.FAILED, True
    if isinstance(error, UpstreamUnavailableError):
        return Outcome.FAILED, error.is_congestion
    # It answered, whatever it said: 401, 403, 404, 422 and 429 are about the caller or the request.
    return Outcome.FINE, False


def _left_alone() -> UpstreamUnavailableError:
    return UpstreamUnavailableError("The gallery is not available at the moment.")
