import asyncio
import gc
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.errors import UpstreamTimeoutError, UpstreamUnavailableError
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.entry import FetchResult
from gallery_gateway.gallery.flights import Flight, Flights
from gallery_gateway.gallery.request import GalleryRequest

ADA, BEN = CallerKey(b"ada"), CallerKey(b"ben")
RESULT = cast("FetchResult", object())


def of_size(size: int) -> GalleryRequest:
    """A request that covers all smaller ones."""
    return GalleryRequest(max_images_per_project=size)


class Call:
    """A call that lasts until it is told to end, and counts how often it was started."""

    def __init__(self) -> None:
        self.started = 0
        self.running = asyncio.Event()
        self.ending = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> FetchResult:
        self.started += 1
        self.running.set()
        await self.ending.wait()
        if self.error:
            raise self.error
        return RESULT


def joined(flights: Flights, call: Call, *, owner: CallerKey = ADA, size: int = 1) -> Flight:
    """A flight that will answer: the one under way, or else a new one."""
    request = of_size(size)
    return flights.find(owner, request) or flights.start(owner, request, call())


async def test_calls_in_flight_for_one_request_are_one() -> None:
    flights = Flights()
    call = Call()
    waiters = [asyncio.create_task(joined(flights, call).land()) for _ in range(200)]
    await call.running.wait()

    call.ending.set()
    landed = await asyncio.gather(*waiters)

    assert landed == [RESULT] * 200
    assert call.started == 1


async def test_a_smaller_request_joins_a_larger_one() -> None:
    flights = Flights()
    larger = flights.start(ADA, of_size(5), Call()())

    found = flights.find(ADA, of_size(4))

    assert found is larger
    await flights.aclose()


async def test_a_larger_request_joins_no_smaller_one() -> None:
    flights = Flights()
    flights.start(ADA, of_size(5), Call()())

    found = flights.find(ADA, of_size(6))

    assert found is None
    await flights.aclose()


async def test_another_owner_joins_nothing() -> None:
    flights = Flights()
    flights.start(ADA, of_size(5), Call()())

    found = flights.find(BEN, of_size(5))

    assert found is None
    await flights.aclose()


async def test_a_flight_from_before_can_be_left_alone() -> None:
    flights = Flights()
    flights.start(ADA, of_size(5), Call()())
    since = flights.started
    later = flights.start(ADA, of_size(5), Call()())

    found = flights.find(ADA, of_size(5), since=since)

    assert found is later
    await flights.aclose()


async def test_a_flight_that_has_landed_is_not_joined() -> None:
    flights = Flights()
    call = Call()
    call.ending.set()

    await joined(flights, call).land()

    assert flights.find(ADA, of_size(1)) is None


async def test_flights_that_have_landed_leave_nothing_behind() -> None:
    flights = Flights()
    call = Call()
    call.ending.set()

    await asyncio.gather(*(joined(flights, call, owner=CallerKey(b"%d" % n)).land() for n in range(5)))

    assert flights._by_caller == {}


async def test_asking_for_a_flight_leaves_nothing_behind() -> None:
    flights = Flights()

    flights.find(ADA, of_size(1))

    assert flights._by_caller == {}


async def test_the_first_waiter_hanging_up_changes_nothing_for_the_rest() -> None:
    flights = Flights()
    call = Call()
    first = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()
    second = asyncio.create_task(joined(flights, call).land())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    call.ending.set()

    assert await second is RESULT
    assert call.started == 1


async def test_a_flight_goes_on_when_all_its_waiters_have_hung_up() -> None:
    flights = Flights()
    call = Call()
    waiter = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)

    call.ending.set()

    assert await joined(flights, call).land() is RESULT
    assert call.started == 1


async def test_an_error_goes_to_those_who_wait_and_is_not_kept() -> None:
    flights = Flights()
    call = Call()
    call.error = UpstreamUnavailableError("down")
    call.ending.set()
    failed = await asyncio.gather(*(joined(flights, call).land() for _ in range(3)), return_exceptions=True)
    call.error = None

    answer = await joined(flights, call).land()

    assert [type(error) for error in failed] == [UpstreamUnavailableError] * 3
    assert answer is RESULT
    assert call.started == 2


async def test_an_error_that_nobody_waited_for_is_no_warning() -> None:
    flights = Flights()
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
    flights = Flights()
    call = Call()
    waiter = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()

    await flights.aclose()

    with pytest.raises(UpstreamUnavailableError):
        await waiter


async def test_a_waiter_gives_up_at_its_time_and_leaves_the_flight_to_the_others() -> None:
    flights = Flights()
    call = Call()
    patient = asyncio.create_task(joined(flights, call).land())
    await call.running.wait()

    with pytest.raises(UpstreamTimeoutError) as caught:
        await joined(flights, call).land(asyncio.get_running_loop().time() + 0.01)
    call.ending.set()

    assert caught.value.kind == "given_up"
    assert await patient is RESULT


async def test_a_flight_that_has_landed_before_it_is_waited_for_answers() -> None:
    flights = Flights()
    call = Call()
    call.ending.set()
    flight = joined(flights, call)
    await asyncio.wait([flight.task])

    assert await flight.land() is RESULT


LEAVING = ["waits", "hangs up", "gives up", "hangs up as the flight lands"]


@given(st.lists(st.sampled_from(LEAVING), max_size=6), st.sampled_from(["page", "error", "shutdown"]))
async def test_each_waiter_gets_what_it_waited_for(leaving: list[str], end: str) -> None:
    """However the waiters of a flight leave it and however it ends, none of them disturbs another."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    flights = Flights()
    ending = asyncio.Event()
    waiters: list[tuple[str, asyncio.Task[FetchResult]]] = []

    async def call() -> FetchResult:
        try:
            await ending.wait()
        finally:
            hang_up(waiters, "hangs up as the flight lands")
        if end == "error":
            raise UpstreamUnavailableError("down", kind="status_503")
        return RESULT

    flight = flights.start(ADA, of_size(1), call())
    for each in leaving:
        until = loop.time() + (0 if each == "gives up" else 60)
        waiters.append((each, asyncio.create_task(flight.land(until))))
    await asyncio.wait([flight.task], timeout=0.005)

    hang_up(waiters, "hangs up")
    if end == "shutdown":
        await flights.aclose()
    ending.set()
    got = await asyncio.gather(*[waiter for _, waiter in waiters], return_exceptions=True)
    await asyncio.wait([flight.task])
    # A task whose error nobody has seen complains when it is freed.
    del flight
    # It is young; a complete collection in a long run of tests takes too long.
    gc.collect(1)

    landed = {"page": "page", "error": "status_503", "shutdown": "shutting_down"}[end]
    expected = {"waits": landed, "gives up": "given_up"}
    kinds = ["page" if result is RESULT else getattr(result, "kind", "cancelled") for result in got]
    assert kinds == [expected.get(each, "cancelled") for each in leaving]
    assert flights._by_caller == {}
    assert complaints == []


def hang_up(waiters: list[tuple[str, asyncio.Task[FetchResult]]], when: str) -> None:
    for each, waiter in waiters:
        if each == when:
            waiter.cancel()


REQUESTS = st.builds(
    GalleryRequest,
    page=st.integers(1, 6),
    per_page=st.integers(1, 6),
    max_images_per_project=st.integers(1, 3),
    project_id=st.sampled_from([None, 1]),
)


def holds(larger: GalleryRequest, smaller: GalleryRequest) -> bool:
    """Return whether each position of a page is on another page of the same list, with as many images."""
    positions = [
        range((each.page - 1) * each.per_page, each.page * each.per_page) for each in (larger, smaller)
    ]
    return (
        set(positions[1]) <= set(positions[0])
        and larger.project_id == smaller.project_id
        and larger.max_images_per_project >= smaller.max_images_per_project
    )


@given(st.lists(REQUESTS, max_size=6), REQUESTS)
async def test_a_flight_is_found_exactly_if_one_covers_the_request(
    under_way: list[GalleryRequest], request: GalleryRequest
) -> None:
    flights = Flights()
    started = [flights.start(ADA, each, Call()()) for each in under_way]

    found = flights.find(ADA, request)

    assert found is next((flight for flight in started if holds(flight.request, request)), None)
    await flights.aclose()
