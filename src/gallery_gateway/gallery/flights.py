"""Upstream calls in flight, each shared by every waiter that its page can answer."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from functools import partial
from math import inf
from typing import Any

from msgspec import Struct

from gallery_gateway.errors import UpstreamTimeoutError, UpstreamUnavailableError
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.entry import FetchResult
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.resilience import Deadline


class Flight(Struct, frozen=True, eq=False):
    """A call in a task of its own.

    Args:
        number: flights are numbered in the order of their start.
        deadline: that of the waiter who waits longest; `None` for a call in the background.
        forced_at: when an operation with `no-cache` began it, on the monotonic clock.
    """

    number: int
    request: GalleryRequest
    task: asyncio.Task[FetchResult]
    deadline: Deadline | None = None
    forced_at: float = -inf

    def join(self, until: float | None) -> None:
        """Extend the deadline of the call to that of a new waiter."""
        if self.deadline is not None and until is not None:
            self.deadline.extend(until)

    async def land(self, until: float | None = None) -> FetchResult:
        """Wait for the result; a waiter that gives up leaves the flight to the others.

        Args:
            until: when this waiter gives up, in the loop's seconds.

        Raises:
            GatewayError: the call failed.
            UpstreamTimeoutError: there was no result by `until`.
            UpstreamUnavailableError: the flight was cancelled by the shutdown.
        """
        loop = asyncio.get_running_loop()
        # A waiter that is cancelled cancels this future, and not the task. asyncio.shield and asyncio.timeout
        # would cost several times as much.
        landing: asyncio.Future[FetchResult] = loop.create_future()
        land = partial(_land, landing)
        self.task.add_done_callback(land)
        timer = loop.call_at(inf if until is None else until, land, None)
        try:
            return await landing
        finally:
            timer.cancel()
            self.task.remove_done_callback(land)


def _land(landing: asyncio.Future[FetchResult], task: asyncio.Task[FetchResult] | None) -> None:
    """Pass on how the task ended; without a task, the waiter gives up."""
    if landing.done():
        return
    if task is None:
        landing.set_exception(UpstreamTimeoutError())
    elif task.cancelled():
        landing.set_exception(UpstreamUnavailableError("The gateway is shutting down."))
    elif error := task.exception():
        landing.set_exception(error)
    else:
        landing.set_result(task.result())


class Flights:
    """The flights of each caller. An error reaches the present waiters and is not kept.

    `started` is the number of flights so far, and so the number of the next one.
    """

    def __init__(self) -> None:
        self.started = 0
        self._by_caller: dict[CallerKey, list[Flight]] = defaultdict(list)

    def find(
        self, caller_key: CallerKey, request: GalleryRequest, *, since: int = 0, forced_since: float = inf
    ) -> Flight | None:
        """Return a flight that covers the request, with at least the number `since` or forced since then."""
        for flight in self._by_caller.get(caller_key, ()):
            is_recent = flight.number >= since or flight.forced_at >= forced_since
            if is_recent and flight.request.covers(request):
                return flight
        return None

    def start(
        self,
        caller_key: CallerKey,
        request: GalleryRequest,
        call: Coroutine[Any, Any, FetchResult],
        *,
        deadline: Deadline | None = None,
        forced_at: float = -inf,
    ) -> Flight:
        flight = Flight(self.started, request, asyncio.create_task(call), deadline, forced_at)
        self.started += 1
        self._by_caller[caller_key].append(flight)
        flight.task.add_done_callback(lambda _task: self._remove(caller_key, flight))
        return flight

    async def aclose(self) -> None:
        """Cancel all flights."""
        tasks = [flight.task for flights in self._by_caller.values() for flight in flights]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _remove(self, caller_key: CallerKey, flight: Flight) -> None:
        flights = self._by_caller[caller_key]
        flights.remove(flight)
        if not flights:
            del self._by_caller[caller_key]
        if not flight.task.cancelled():
            # Marks the error as retrieved: all waiters may have gone.
            flight.task.exception()
