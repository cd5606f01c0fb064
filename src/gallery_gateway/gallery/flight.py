"""Single flight: identical calls that are under way at the same time are one."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from gallery_gateway.errors import UpstreamUnavailableError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Flights(Generic[Key, Value]):
    """Calls under way, each in a task of its own, which any number of waiters share.

    An error goes to those who wait now, and is not kept.
    """

    def __init__(self) -> None:
        self._under_way: dict[Key, asyncio.Task[Value]] = {}

    async def join(self, key: Key, call: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The value of the call under way for `key`, started here if there is none.

        Raises:
            UpstreamUnavailableError: the flight was cancelled, because the process ends.
        """
        flight = self._under_way.get(key)
        if flight is None:
            flight = asyncio.create_task(call())
            self._under_way[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        try:
            # Shielded, so that one waiter giving up does not cancel the rest.
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            if flight.cancelled():
                raise UpstreamUnavailableError("The gateway is shutting down.") from None
            raise

    async def aclose(self) -> None:
        """Cancels what nobody waits for any more."""
        flights = list(self._under_way.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _land(self, key: Key, flight: asyncio.Task[Value]) -> None:
        del self._under_way[key]
        if not flight.cancelled():
            # Marks the error as seen: its waiters may all have gone.
            flight.exception()
