import asyncio

import pytest

from gallery_gateway.errors import UpstreamUnavailableError
from gallery_gateway.gallery.flight import Flights


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


async def test_calls_under_way_for_one_key_are_one() -> None:
    flights: Flights[str, str] = Flights()
    call = Call()
    waiters = [asyncio.create_task(flights.join("key", call)) for _ in range(200)]
    await call.running.wait()

    call.ending.set()
    landed = await asyncio.gather(*waiters)

    assert landed == ["landed"] * 200
    assert call.started == 1


async def test_the_first_waiter_hanging_up_changes_nothing_for_the_rest() -> None:
    flights: Flights[str, str] = Flights()
    call = Call()
    first = asyncio.create_task(flights.join("key", call))
    await call.running.wait()
    second = asyncio.create_task(flights.join("key", call))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    call.ending.set()

    assert await second == "landed"
    assert call.started == 1


async def test_another_key_is_another_call() -> None:
    flights: Flights[str, str] = Flights()
    call = Call()
    call.ending.set()

    await asyncio.gather(flights.join("one", call), flights.join("other", call))

    assert call.started == 2


async def test_an_error_goes_to_those_who_wait_and_is_not_kept() -> None:
    flights: Flights[str, str] = Flights()
    call = Call()
    call.error = UpstreamUnavailableError("down")
    call.ending.set()
    failed = await asyncio.gather(*(flights.join("key", call) for _ in range(3)), return_exceptions=True)
    call.error = None

    answer = await flights.join("key", call)

    assert [type(error) for error in failed] == [UpstreamUnavailableError] * 3
    assert answer == "landed"
    assert call.started == 2


async def test_an_error_that_nobody_waited_for_is_no_warning() -> None:
    flights: Flights[str, str] = Flights()
    call = Call()
    call.error = UpstreamUnavailableError("down")
    waiter = asyncio.create_task(flights.join("key", call))
    await call.running.wait()
    waiter.cancel()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    call.ending.set()
    await asyncio.gather(waiter, return_exceptions=True)
    await flights.aclose()

    assert complaints == []


async def test_waiters_of_a_flight_that_is_cancelled_are_told_and_not_cancelled() -> None:
    flights: Flights[str, str] = Flights()
    call = Call()
    waiter = asyncio.create_task(flights.join("key", call))
    await call.running.wait()

    await flights.aclose()

    with pytest.raises(UpstreamUnavailableError):
        await waiter
