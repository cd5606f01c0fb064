"""The circuit breakers: one for the API, and one for each caller whose calls fail."""

import logging
from collections.abc import Callable, Hashable
from typing import NamedTuple

from cachetools import LRUCache

from gallery_gateway.telemetry.logs import log_event
from gallery_gateway.upstream.resilience.breaker import BAD, Breaker, BreakerRules, CallResult
from gallery_gateway.upstream.resilience.windows import ApiWindow, CallerWindow

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
        return (own is not None and own.is_shut()) or self.api.is_shut(caller_key)

    def begin(self, caller_key: bytes | None, question: Hashable) -> Ticket | None:
        """Return a ticket to hand back to `end`, or `None` if the call is refused."""
        own = self._own(caller_key)
        if own is not None and own.is_shut():
            return None
        api_ticket = self.api.begin(caller_key)
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
