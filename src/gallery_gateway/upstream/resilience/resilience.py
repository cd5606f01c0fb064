"""A call with everything around it: the caller's pause, the breakers, the gate, retries."""

import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from gallery_gateway.errors import (
    GatewayError,
    RateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.reasons import UNREACHABLE
from gallery_gateway.upstream.resilience.breaker import BAD, CallResult
from gallery_gateway.upstream.resilience.breakers import CircuitBreakers, Ticket
from gallery_gateway.upstream.resilience.deadline import Deadline
from gallery_gateway.upstream.resilience.gate import Gate
from gallery_gateway.upstream.resilience.pauses import Pauses
from gallery_gateway.upstream.resilience.retries import Retries

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resilience:
    """The rules around the calls of one API, for the life of a process.

    Args:
        slow_seconds: a call that takes as long as this is slow, for the breakers and for the limit.
        clock: monotonic seconds.
    """

    breakers: CircuitBreakers
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
        question: Hashable = None,
        deadline: Deadline | None,
    ) -> Value:
        """Make a call, and make it again where that may help.

        Args:
            call: makes one attempt.
            caller_key: who is judged by the result; `None`: nobody.
            question: what is asked, so that one question that always fails is not taken for an outage.
            deadline: of all attempts together; no retry waits beyond it.

        Raises:
            GatewayError: the call failed for good, or was not made at all.
        """
        try:
            return await self._attempt(call, caller_key, question, is_first=True)
        except GatewayError as exc:
            if not exc.may_pass:
                raise
            failed = exc
        return await self.retries.retry(
            failed,
            lambda: self._attempt(call, caller_key, question, is_first=False),
            caller_key=caller_key,
            remaining_seconds=lambda: deadline.remaining_seconds if deadline else math.inf,
        )

    async def _attempt(
        self,
        call: Callable[[], Awaitable[Value]],
        caller_key: bytes | None,
        question: Hashable,
        *,
        is_first: bool,
    ) -> Value:
        self._check_pause(caller_key)
        if self.breakers.is_shut(caller_key):
            raise _shut_out()
        await self.gate.enter(caller_key)
        # A breaker may have opened while this call waited.
        ticket = self.breakers.begin(caller_key, question)
        if ticket is None:
            self.gate.leave(caller_key, is_congested=None)
            raise _shut_out()
        if is_first:
            self.retries.budgets.earn(caller_key)
        result, is_congested = CallResult.UNKNOWN, False
        began = self.clock(), self.gate.limit.era
        try:
            value = await call()
            result = CallResult.FINE
        except GatewayError as exc:
            result, is_congested = _judge(exc)
            self._remember_pause(exc, caller_key)
            raise
        finally:
            self._end(ticket, result, is_congested=is_congested, began=began)
        return value

    def _end(
        self, ticket: Ticket, result: CallResult, *, is_congested: bool, began: tuple[float, int]
    ) -> None:
        started, era = began
        is_slow = self.clock() - started >= self.slow_seconds
        if is_slow and result not in BAD:
            # That includes a call given up after so long.
            result, is_congested = CallResult.SLOW, True
        self.breakers.end(ticket, result)
        self.gate.leave(
            ticket.caller_key, era, is_congested=None if result is CallResult.UNKNOWN else is_congested
        )

    def _check_pause(self, caller_key: bytes | None) -> None:
        seconds = 0.0 if caller_key is None else self.pauses.remaining_seconds(caller_key)
        if seconds:
            raise RateLimitedError("The gallery was asked too often.", retry_after_seconds=math.ceil(seconds))

    def _remember_pause(self, error: GatewayError, caller_key: bytes | None) -> None:
        if isinstance(error, RateLimitedError) and error.retry_after_seconds and caller_key is not None:
            self.pauses.pause(caller_key, error.retry_after_seconds)


def _judge(error: GatewayError) -> tuple[CallResult, bool]:
    """Return what an error shows about the API, and whether it is a sign of congestion."""
    if not isinstance(error, UpstreamTimeoutError | UpstreamUnavailableError):
        # The API answered: 401, 403, 404, 422 and 429 are about the caller or the request.
        return CallResult.REFUSED, False
    result = CallResult.UNREACHABLE if error.reason in UNREACHABLE else CallResult.FAILED
    return result, isinstance(error, UpstreamTimeoutError) or error.is_congestion


def _shut_out() -> UpstreamUnavailableError:
    return UpstreamUnavailableError("The gallery is not available at the moment.")
