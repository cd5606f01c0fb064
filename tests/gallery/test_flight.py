import asyncio
from dataclasses import dataclass

import pytest

from gallery_gateway.errors import UpstreamUnavailableError
from gallery_gateway.gallery.flights import Flight, Flights


@dataclass(frozen=True)
class Size:
    """A question whose answer holds that to any smaller one."""

    size: int

    def covers(self, other: "Size") -> bool:
        return self.size >= other.size


SizedFlights = Flights[str, Size, str]


class Call:
    """A call that lasts until it is told to end, and counts how often it was started."""

    def __init__(self) -> None:
        self.started = 0
        self.running = asyncio.Event()
        self.ending = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.started += 1
        self.running.set()
        await self.ending.wait()
        if self.error:
            raise self.error
        return "landed"


def joined(flights: SizedFlights, call: Call, *, owner: str = "ada", size: int = 1) -> Flight[Size, str]:
    """A flight that will answer: the one under way, or else a new one."""
    question = Size(size)
    return flights.find(owner, question) or flights.start(owner, question, call)


async def test_calls_under_way_for_one_question_are_one() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    waiters = [asyncio.create_task(joined(flights, call).land()) for _ in range(200)]
    await call.running.wait()

    call.ending.set()
    landed = await asyncio.gather(*waiters)

    assert landed == ["landed"] * 200
    assert call.started == 1


async def test_a_smaller_question_joins_a_larger_one() -> None:
    flights: SizedFlights = Flights()
    larger = flights.start("ada", Size(5), Call())

    found = flights.find("ada", Size(4))

    assert found is larger
    await flights.aclose()


async def test_a_larger_question_joins_no_smaller_one() -> None:
    flights: SizedFlights = Flights()
    flights.start("ada", Size(5), Call())

    found = flights.find("ada", Size(6))

    assert found is None
    await flights.aclose()


async def test_another_owner_joins_nothing() -> None:
    flights: SizedFlights = Flights()
    flights.start("ada", Size(5), Call())

    found = flights.find("ben", Size(5))

    assert found is None
    await flights.aclose()


async def test_a_flight_from_before_can_be_left_alone() -> None:
    flights: SizedFlights = Flights()
    flights.start("ada", Size(5), Call())
    since = flights.started
    later = flights.start("ada", Size(5), Call())

    found = flights.find("ada", Size(5), since=since)

    assert found is later
    await flights.aclose()


async def test_a_flight_that_has_landed_is_not_joined() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    call.ending.set()

    await joined(flights, call).land()

    assert flights.find("ada", Size(1)) is None


async def test_flights_that_have_landed_leave_nothing_behind() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    call.ending.set()

    await asyncio.gather(*(joined(flights, call, owner=f"caller {n}").land() for n in range(5)))

    assert flights._under_way == {}


async def test_asking_for_a_flight_leaves_nothing_behind() -> None:
    flights: SizedFlights = Flights()

    flights.find("ada", Size(1))

    assert flights._under_way == {}


async def test_the_first_waiter_hanging_up_changes_nothing_for_the_rest() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    first = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()
    second = asyncio.create_task(joined(flights, call).land())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    call.ending.set()

    assert await second == "landed"
    assert call.started == 1


async def test_a_flight_goes_on_when_all_its_waiters_have_hung_up() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    waiter = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)

    call.ending.set()

    assert await joined(flights, call).land() == "landed"
    assert call.started == 1


async def test_an_error_goes_to_those_who_wait_and_is_not_kept() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    call.error = UpstreamUnavailableError("down")
    call.ending.set()
    failed = await asyncio.gather(*(joined(flights, call).land() for _ in range(3)), return_exceptions=True)
    call.error = None

    answer = await joined(flights, call).land()

    assert [type(error) for error in failed] == [UpstreamUnavailableError] * 3
    assert answer == "landed"
    assert call.started == 2


async def test_an_error_that_nobody_waited_for_is_no_warning() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    call.error = UpstreamUnavailableError("down")
    waiter = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()
    waiter.cancel()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    call.ending.set()
    await asyncio.gather(waiter, return_exceptions=True)
    await flights.aclose()

    assert complaints == []


async def test_waiters_of_a_flight_that_is_cancelled_are_told_and_not_cancelled() -> None:
    flights: SizedFlights = Flights()
    call = Call()
    waiter = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()

    await flights.aclose()

    with pytest.raises(UpstreamUnavailableError):
        await waiter
