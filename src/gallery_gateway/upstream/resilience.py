"""A call with everything around it: the caller's pause, the breakers, the gate, retries, a deadline."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from cachetools import LRUCache

from gallery_gateway.errors import Consequences, GatewayError, RateLimitedError, UpstreamUnavailableError
from gallery_gateway.upstream.breaker import BAD, CallResult, CircuitBreakers, Ticket
from gallery_gateway.upstream.limiter import ConcurrencyLimiter
from gallery_gateway.upstream.retries import Retries


class Deadline:
    """In the loop's seconds. As a context, it ends its block then with a `TimeoutError`.

    Whoever joins may put it off, and nobody can bring it forward: each waiter's own is its own affair.
    """

    def __init__(self, at: float) -> None:
        self._at = at
        self._timeout: asyncio.Timeout | None = None

    @property
    def at(self) -> float:
        return self._at

    @property
    def remaining_seconds(self) -> float:
        return self._at - asyncio.get_running_loop().time()

    def extend(self, at: float) -> None:
        if at <= self._at:
            return
        self._at = at
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(at)

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout_at(self._at)
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            await timeout.__aexit__(kind, error, trace)


_MAX_CALLERS = 10_000

# Whoever is told to wait for a year by mistake is let go on after an hour.
_LONGEST_SECONDS = 3_600.0


class RateLimitMemory:
    """By the caller's key; the least recent are forgotten first, and then asked for again.

    Args:
        clock: seconds that never run backwards; a test passes its own.
    """

    def __init__(self, *, clock: Callable[[], float], max_callers: int = _MAX_CALLERS) -> None:
        self._clock = clock
        self._until: LRUCache[bytes, float] = LRUCache(max_callers)

    def pause(self, caller_key: bytes, seconds: float) -> None:
        self._until[caller_key] = self._clock() + min(seconds, _LONGEST_SECONDS)

    def remaining_seconds(self, caller_key: bytes) -> float:
        """How long the caller has to wait; 0 if it may ask."""
        until = self._until.get(caller_key)
        if until is None:
            return 0.0
        remaining = until - self._clock()
        if remaining <= 0:
            del self._until[caller_key]
        return max(0.0, remaining)


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resilience:
    """The rules around the calls of one API, for the life of a process.

    Args:
        slow_seconds: a call that takes as long as this is slow, for the breakers and for the limit.
        clock: monotonic seconds.
    """

    breakers: CircuitBreakers
    gate: ConcurrencyLimiter
    retries: Retries
    pauses: RateLimitMemory
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
            if not exc.consequences.is_retried:
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
            result, is_congested = _call_result(exc.consequences), exc.consequences.is_congestion
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


def _call_result(consequences: Consequences) -> CallResult:
    if not consequences.counts_for_breaker:
        return CallResult.REFUSED
    return CallResult.UNREACHABLE if consequences.is_unreachable else CallResult.FAILED


def _shut_out() -> UpstreamUnavailableError:
    return UpstreamUnavailableError("The gallery is not available at the moment.", kind="breaker_open")
