"""Calls under way, each shared by all who ask for the same."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

from gallery_gateway.errors import UpstreamTimeoutError, UpstreamUnavailableError
from gallery_gateway.upstream.resilience import Deadline


class Question(Protocol):
    """What a call asks; the answer to one question may hold the answer to another."""

    def covers(self, other: Self, /) -> bool: ...


Owner = TypeVar("Owner", bound=Hashable)
Asked = TypeVar("Asked", bound=Question)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Flight(Generic[Asked, Value]):
    """A call under way in a task of its own; `number` counts flights in the order of their start.

    Its `deadline` is that of the waiter who waits longest.
    """

    number: int
    question: Asked
    task: asyncio.Task[Value]
    deadline: Deadline | None = None

    def join(self, until: float | None) -> None:
        """Goes on for as long as this waiter waits too."""
        if self.deadline is not None and until is not None:
            self.deadline.extend(until)

    async def land(self, until: float | None = None) -> Value:
        """The answer, which any number of waiters share; each gives up alone, at a time of the loop's.

        Raises:
            UpstreamTimeoutError: there was no answer by then.
            UpstreamUnavailableError: the flight was cancelled, because the process ends.
        """
        # Shielded, so that one waiter giving up does not cancel the rest.
        landing = asyncio.shield(self.task)
        # A third of what asyncio's own timeout costs, and all that most waiters ever need of it.
        timer = None if until is None else landing.get_loop().call_at(until, landing.cancel)
        try:
            return await landing
        except asyncio.CancelledError:
            if self.task.cancelled():
                raise UpstreamUnavailableError("The gateway is shutting down.") from None
            waiter = asyncio.current_task()
            if waiter is not None and waiter.cancelling():
                raise
            raise UpstreamTimeoutError("The gallery took too long to answer.") from None
        finally:
            if timer is not None:
                timer.cancel()


class Flights(Generic[Owner, Asked, Value]):
    """The calls under way, by who asked. An error goes to those who wait now, and is not kept."""

    def __init__(self) -> None:
        self._under_way: dict[Owner, list[Flight[Asked, Value]]] = defaultdict(list)
        self._started = 0

    @property
    def started(self) -> int:
        """How many flights there have been: the number that the next one will bear."""
        return self._started

    def find(self, owner: Owner, question: Asked, *, since: int = 0) -> Flight[Asked, Value] | None:
        """A flight whose answer will hold the answer to the question, and whose number is `since` or more."""
        for flight in self._under_way.get(owner, ()):
            if flight.number >= since and flight.question.covers(question):
                return flight
        return None

    def start(
        self,
        owner: Owner,
        question: Asked,
        call: Callable[[], Coroutine[Any, Any, Value]],
        *,
        deadline: Deadline | None = None,
    ) -> Flight[Asked, Value]:
        flight = Flight(self._started, question, asyncio.create_task(call()), deadline)
        self._started += 1
        self._under_way[owner].append(flight)
        flight.task.add_done_callback(lambda _task: self._land(owner, flight))
        return flight

    async def aclose(self) -> None:
        """Cancels what nobody waits for any more."""
        tasks = [flight.task for flights in self._under_way.values() for flight in flights]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _land(self, owner: Owner, flight: Flight[Asked, Value]) -> None:
        self._under_way[owner].remove(flight)
        if not self._under_way[owner]:
            del self._under_way[owner]
        if not flight.task.cancelled():
            # Marks the error as seen: its waiters may all have gone.
            flight.task.exception()
