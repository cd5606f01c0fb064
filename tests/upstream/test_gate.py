"""The gate: so many at a time, a bounded queue in its order, and nothing lost when a waiter goes."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.errors import OverloadedError
from gallery_gateway.upstream.limiter import AdaptiveLimit, ConcurrencyLimiter

ADA, BEN, CAI = b"key-of-ada", b"key-of-ben", b"key-of-cai"


def made(calls: int = 2, *, max_waiting: int = 2, max_wait_seconds: float = 60.0) -> ConcurrencyLimiter:
    limit = AdaptiveLimit(min_calls=calls, first_calls=calls, max_calls=calls)
    return ConcurrencyLimiter(limit, max_waiting=max_waiting, max_wait_seconds=max_wait_seconds)


async def settle() -> None:
    """Lets every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_as_the_limit_says_go_through_at_a_time() -> None:
    gate = made(calls=2)

    tasks = [asyncio.create_task(gate.enter(ADA)) for _ in range(3)]
    await settle()

    assert [task.done() for task in tasks] == [True, True, False]
    assert (gate.in_flight, gate.waiting) == (2, 1)
    gate.leave(ADA, is_congested=None)
    await settle()
    assert tasks[2].done()
    assert (gate.in_flight, gate.waiting) == (2, 0)


async def test_the_first_to_come_is_the_first_to_go_through() -> None:
    gate = made(calls=1)
    order: list[int] = []

    async def call(number: int) -> None:
        await gate.enter(ADA)
        order.append(number)
        await asyncio.sleep(0)
        gate.leave(ADA, is_congested=False)

    await asyncio.gather(*(call(number) for number in range(3)))

    assert order == [0, 1, 2]


async def test_who_finds_the_queue_full_is_told_at_once_and_when_to_come_again() -> None:
    gate = made(calls=1, max_waiting=0, max_wait_seconds=2.5)
    await gate.enter(ADA)

    with pytest.raises(OverloadedError) as caught:
        await gate.enter(ADA)

    assert caught.value.retry_after_seconds == 3


async def test_who_has_waited_for_too_long_is_told_so() -> None:
    gate = made(calls=1, max_wait_seconds=0.01)
    await gate.enter(ADA)

    with pytest.raises(OverloadedError):
        await gate.enter(ADA)

    assert (gate.in_flight, gate.waiting) == (1, 0)


async def test_a_waiter_that_goes_leaves_its_place() -> None:
    gate = made(calls=1)
    await gate.enter(ADA)
    first, second = (asyncio.create_task(gate.enter(ADA)) for _ in range(2))
    await settle()

    first.cancel()
    gate.leave(ADA, is_congested=None)
    await settle()

    assert second.done()
    assert (gate.in_flight, gate.waiting) == (1, 0)


async def test_a_waiter_that_goes_when_its_turn_has_come_hands_it_on() -> None:
    gate = made(calls=1)
    await gate.enter(ADA)
    first, second = (asyncio.create_task(gate.enter(ADA)) for _ in range(2))
    await settle()

    gate.leave(ADA, is_congested=None)
    first.cancel()
    await settle()

    assert first.cancelled()
    assert second.done()
    assert (gate.in_flight, gate.waiting) == (1, 0)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["enter", "cancel", "leave", "settle"]), max_size=60))
def test_no_order_of_events_loses_a_place_or_makes_one(events: list[str]) -> None:
    async def run() -> None:
        gate = made(calls=2, max_waiting=3)
        tasks: list[asyncio.Task[None]] = []
        entered = left = 0
        for event in events:
            if event == "enter":
                tasks.append(asyncio.create_task(gate.enter(ADA)))
            elif event == "cancel" and tasks:
                tasks[len(tasks) // 2].cancel()
            elif event == "leave" and gate.in_flight:
                await settle()
                gate.leave(ADA, is_congested=None)
                left += 1
            elif event == "settle":
                await settle()
        await settle()
        entered = sum(task.done() and not task.cancelled() and not task.exception() for task in tasks)
        assert gate.in_flight == entered - left <= 2
        assert gate.waiting == sum(not task.done() for task in tasks) <= 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


async def test_callers_take_turns() -> None:
    gate = made(calls=1, max_waiting=10)
    order: list[bytes] = []

    async def call(caller_key: bytes) -> None:
        await gate.enter(caller_key)
        order.append(caller_key)
        await asyncio.sleep(0)
        gate.leave(caller_key, is_congested=None)

    await asyncio.gather(*(call(key) for key in (ADA, ADA, ADA, ADA, BEN, BEN, CAI)))

    assert order == [ADA, ADA, BEN, CAI, ADA, BEN, ADA]


async def test_one_caller_leaves_a_third_of_the_places_free() -> None:
    gate = made(calls=30, max_waiting=100)

    greedy = [asyncio.create_task(gate.enter(ADA)) for _ in range(60)]
    await settle()
    held = gate.in_flight
    modest = [asyncio.create_task(gate.enter(b"key-%d" % number)) for number in range(10)]
    await settle()

    assert held == 20
    assert all(task.done() for task in modest)
    for task in greedy:
        task.cancel()


@given(st.integers(1, 40), st.integers(1, 12))
def test_a_place_is_free_for_a_caller_who_comes_later_however_many_are_greedy(
    calls: int, callers: int
) -> None:
    async def run() -> None:
        gate = made(calls=calls, max_waiting=10_000)
        tasks = [
            asyncio.create_task(gate.enter(b"key-%d" % caller))
            for _ in range(calls)
            for caller in range(callers)
        ]
        await settle()
        late = asyncio.create_task(gate.enter(b"late"))
        await settle()
        assert late.done() or calls <= 2 * callers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


async def test_a_full_queue_makes_room_for_a_caller_with_fewer_calls_in_it() -> None:
    gate = made(calls=1, max_waiting=4)
    await gate.enter(ADA)
    greedy = [asyncio.create_task(gate.enter(ADA)) for _ in range(4)]
    await settle()

    modest = [asyncio.create_task(gate.enter(BEN)) for _ in range(3)]
    await settle()

    # Two each: the greedy caller's newest are refused, and so is the other's third.
    assert gate.waiting == 4
    assert [task.done() for task in (*greedy, *modest)] == [False, False, True, True, False, False, True]
    for task in (*greedy, *modest):
        task.cancel()
    ends = await asyncio.gather(*greedy, *modest, return_exceptions=True)
    assert [type(end) for end in ends].count(OverloadedError) == 3
