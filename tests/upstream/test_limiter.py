"""The concurrency limit: how it grows and shrinks, and how callers share its places and the queue."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.errors import OverloadedError
from gallery_gateway.upstream.limiter import AdaptiveLimit, ConcurrencyLimiter, LimiterRules

ADA, BEN, CAI = b"key-of-ada", b"key-of-ben", b"key-of-cai"


def limit_of(*, first_calls: int, max_calls: int) -> AdaptiveLimit:
    return AdaptiveLimit(LimiterRules(first_calls=first_calls, min_calls=4), max_calls=max_calls)


def record(limit: AdaptiveLimit, calls: int, *, congested: int = 0, in_flight: int | None = None) -> None:
    """Record calls of three callers in turn, the first ones congested; as many at a time as are allowed."""
    for number in range(calls):
        at_a_time = limit.calls if in_flight is None else in_flight
        caller = (ADA, BEN, CAI)[number % 3]
        limit.record(caller, limit.era, is_congested=number < congested, in_flight=at_a_time)


def test_it_begins_with_the_first_limit() -> None:
    assert limit_of(first_calls=20, max_calls=100).calls == 20
    assert limit_of(first_calls=20, max_calls=3).calls == 3


def test_it_doubles_until_it_shrinks_for_the_first_time_and_then_grows_by_one() -> None:
    limit = limit_of(first_calls=10, max_calls=100)

    record(limit, 10)
    assert limit.calls == 20
    record(limit, 20, congested=3)
    assert limit.calls == 16
    record(limit, 16)
    assert limit.calls == 17


def test_a_few_congested_calls_do_not_shrink_it() -> None:
    limit = limit_of(first_calls=20, max_calls=20)

    record(limit, 20, congested=2)

    assert limit.calls == 20


def test_it_halves_when_more_than_half_of_the_calls_were_congested() -> None:
    limit = limit_of(first_calls=20, max_calls=100)

    record(limit, 20, congested=11)

    assert limit.calls == 10


def test_calls_from_before_it_shrank_do_not_shrink_it_again() -> None:
    limit = limit_of(first_calls=20, max_calls=100)
    era = limit.era

    for number in range(100):
        limit.record((ADA, BEN)[number % 2], era, is_congested=True, in_flight=20)

    assert limit.calls == 10


def test_it_does_not_grow_while_it_is_not_used() -> None:
    limit = limit_of(first_calls=20, max_calls=100)

    record(limit, 200, in_flight=2)

    assert limit.calls == 20


def test_it_comes_back_after_the_worst() -> None:
    limit = limit_of(first_calls=20, max_calls=40)
    record(limit, 1_000, congested=1_000)
    assert limit.calls == 4

    record(limit, 1_200)

    assert limit.calls == 40


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=300))
def test_it_stays_within_its_bounds(calls: list[tuple[bool, int]]) -> None:
    limit = limit_of(first_calls=20, max_calls=50)

    for is_congested, in_flight in calls:
        limit.record(ADA, limit.era, is_congested=is_congested, in_flight=in_flight)

        assert 4 <= limit.calls <= 50


def test_one_callers_slow_calls_do_not_shrink_it_for_the_others() -> None:
    limit = limit_of(first_calls=20, max_calls=20)

    for number in range(200):
        caller = ADA if number % 2 else (BEN, CAI)[number % 4 // 2]
        limit.record(caller, limit.era, is_congested=caller == ADA, in_flight=20)

    assert limit.calls == 20


def test_a_caller_alone_does_not_shrink_it_below_where_it_began() -> None:
    limit = limit_of(first_calls=20, max_calls=100)
    record(limit, 20)

    for _ in range(1_000):
        limit.record(ADA, limit.era, is_congested=True, in_flight=20)

    assert limit.calls == 20


def test_several_callers_slow_calls_shrink_it() -> None:
    limit = limit_of(first_calls=20, max_calls=20)

    for number in range(20):
        limit.record((ADA, BEN, CAI)[number % 3], limit.era, is_congested=True, in_flight=20)

    assert limit.calls == 10


def made(calls: int = 2, *, max_waiting: int = 2, max_wait_seconds: float = 60.0) -> ConcurrencyLimiter:
    rules = LimiterRules(first_calls=calls, max_waiting=max_waiting, max_wait_seconds=max_wait_seconds)
    return ConcurrencyLimiter(rules, max_calls=calls)


async def enter(limiter: ConcurrencyLimiter, caller_key: bytes) -> None:
    """Take a place at once, or wait for one, as each call does."""
    if not limiter.try_enter(caller_key):
        await limiter.wait(caller_key)


async def settle() -> None:
    """Lets every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_calls_than_the_limit_hold_a_place() -> None:
    limiter = made(calls=2)

    tasks = [asyncio.create_task(enter(limiter, ADA)) for _ in range(3)]
    await settle()

    assert [task.done() for task in tasks] == [True, True, False]
    assert (limiter.in_flight, limiter.waiting) == (2, 1)
    limiter.leave(ADA, is_congested=None)
    await settle()
    assert tasks[2].done()
    assert (limiter.in_flight, limiter.waiting) == (2, 0)


async def test_calls_of_one_caller_keep_their_order() -> None:
    limiter = made(calls=1)
    order: list[int] = []

    async def call(number: int) -> None:
        await enter(limiter, ADA)
        order.append(number)
        await asyncio.sleep(0)
        limiter.leave(ADA, is_congested=False)

    await asyncio.gather(*(call(number) for number in range(3)))

    assert order == [0, 1, 2]


async def test_a_call_that_finds_the_queue_full_fails_at_once_with_a_retry_time() -> None:
    limiter = made(calls=1, max_waiting=0, max_wait_seconds=2.5)
    await enter(limiter, ADA)

    with pytest.raises(OverloadedError) as caught:
        await enter(limiter, ADA)

    assert caught.value.retry_after_seconds == 3


async def test_a_call_that_waits_too_long_fails() -> None:
    limiter = made(calls=1, max_wait_seconds=0.01)
    await enter(limiter, ADA)

    with pytest.raises(OverloadedError):
        await enter(limiter, ADA)

    assert (limiter.in_flight, limiter.waiting) == (1, 0)


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    limiter = made(calls=1)
    await enter(limiter, ADA)
    first, second = (asyncio.create_task(enter(limiter, ADA)) for _ in range(2))
    await settle()

    first.cancel()
    limiter.leave(ADA, is_congested=None)
    await settle()

    assert second.done()
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


async def test_a_waiter_cancelled_on_its_turn_passes_the_place_on() -> None:
    limiter = made(calls=1)
    await enter(limiter, ADA)
    first, second = (asyncio.create_task(enter(limiter, ADA)) for _ in range(2))
    await settle()

    limiter.leave(ADA, is_congested=None)
    first.cancel()
    await settle()

    assert first.cancelled()
    assert second.done()
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["enter", "cancel", "leave", "settle"]), max_size=60))
def test_no_order_of_events_loses_a_place_or_makes_one(events: list[str]) -> None:
    async def run() -> None:
        limiter = made(calls=2, max_waiting=3)
        tasks: list[asyncio.Task[None]] = []
        entered = left = 0
        for event in events:
            if event == "enter":
                tasks.append(asyncio.create_task(enter(limiter, ADA)))
            elif event == "cancel" and tasks:
                tasks[len(tasks) // 2].cancel()
            elif event == "leave" and limiter.in_flight:
                await settle()
                limiter.leave(ADA, is_congested=None)
                left += 1
            elif event == "settle":
                await settle()
        await settle()
        entered = sum(task.done() and not task.cancelled() and not task.exception() for task in tasks)
        assert limiter.in_flight == entered - left <= 2
        assert limiter.waiting == sum(not task.done() for task in tasks) <= 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


async def test_callers_take_turns() -> None:
    limiter = made(calls=1, max_waiting=10)
    order: list[bytes] = []

    async def call(caller_key: bytes) -> None:
        await enter(limiter, caller_key)
        order.append(caller_key)
        await asyncio.sleep(0)
        limiter.leave(caller_key, is_congested=None)

    await asyncio.gather(*(call(key) for key in (ADA, ADA, ADA, ADA, BEN, BEN, CAI)))

    assert order == [ADA, ADA, BEN, CAI, ADA, BEN, ADA]


async def test_one_caller_leaves_a_third_of_the_places_free() -> None:
    limiter = made(calls=30, max_waiting=100)

    greedy = [asyncio.create_task(enter(limiter, ADA)) for _ in range(60)]
    await settle()
    held = limiter.in_flight
    modest = [asyncio.create_task(enter(limiter, b"key-%d" % number)) for number in range(10)]
    await settle()

    assert held == 20
    assert all(task.done() for task in modest)
    for task in greedy:
        task.cancel()


@given(st.integers(1, 40), st.integers(1, 12))
def test_a_later_caller_finds_a_place_however_many_callers_are_greedy(calls: int, callers: int) -> None:
    async def run() -> None:
        limiter = made(calls=calls, max_waiting=10_000)
        tasks = [
            asyncio.create_task(enter(limiter, b"key-%d" % caller))
            for _ in range(calls)
            for caller in range(callers)
        ]
        await settle()
        late = asyncio.create_task(enter(limiter, b"late"))
        await settle()
        assert late.done() or calls <= 2 * callers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


async def test_a_full_queue_makes_room_for_a_caller_with_fewer_calls_in_it() -> None:
    limiter = made(calls=1, max_waiting=4)
    await enter(limiter, ADA)
    greedy = [asyncio.create_task(enter(limiter, ADA)) for _ in range(4)]
    await settle()

    modest = [asyncio.create_task(enter(limiter, BEN)) for _ in range(3)]
    await settle()

    # Two each: the greedy caller's newest are refused, and so is the other's third.
    assert limiter.waiting == 4
    assert [task.done() for task in (*greedy, *modest)] == [False, False, True, True, False, False, True]
    for task in (*greedy, *modest):
        task.cancel()
    ends = await asyncio.gather(*greedy, *modest, return_exceptions=True)
    assert [type(end) for end in ends].count(OverloadedError) == 3
