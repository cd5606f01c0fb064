"""The gate: so many at a time, a bounded queue in its order, and nothing lost when a waiter goes."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.errors import OverloadedError
from gallery_gateway.upstream.resilience.gate import Gate
from gallery_gateway.upstream.resilience.limit import AdaptiveLimit


def made(calls: int = 2, *, max_waiting: int = 2, max_wait_seconds: float = 60.0) -> Gate:
    limit = AdaptiveLimit(least=calls, first=calls, most=calls)
    return Gate(limit, max_waiting=max_waiting, max_wait_seconds=max_wait_seconds)


async def settle() -> None:
    """Lets every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_as_the_limit_says_go_through_at_a_time() -> None:
    gate = made(calls=2)

    tasks = [asyncio.create_task(gate.enter()) for _ in range(3)]
    await settle()

    assert [task.done() for task in tasks] == [True, True, False]
    assert (gate.in_flight, gate.waiting) == (2, 1)
    gate.leave(is_congested=None)
    await settle()
    assert tasks[2].done()
    assert (gate.in_flight, gate.waiting) == (2, 0)


async def test_the_first_to_come_is_the_first_to_go_through() -> None:
    gate = made(calls=1)
    order: list[int] = []

    async def call(number: int) -> None:
        await gate.enter()
        order.append(number)
        await asyncio.sleep(0)
        gate.leave(is_congested=False)

    await asyncio.gather(*(call(number) for number in range(3)))

    assert order == [0, 1, 2]


async def test_who_finds_the_queue_full_is_told_at_once_and_when_to_come_again() -> None:
    gate = made(calls=1, max_waiting=0, max_wait_seconds=2.5)
    await gate.enter()

    with pytest.raises(OverloadedError) as caught:
        await gate.enter()

    assert caught.value.retry_after_seconds == 3


async def test_who_has_waited_for_too_long_is_told_so() -> None:
    gate = made(calls=1, max_wait_seconds=0.01)
    await gate.enter()

    with pytest.raises(OverloadedError):
        await gate.enter()

    assert (gate.in_flight, gate.waiting) == (1, 0)


async def test_a_waiter_that_goes_leaves_its_place() -> None:
    gate = made(calls=1)
    await gate.enter()
    first, second = (asyncio.create_task(gate.enter()) for _ in range(2))
    await settle()

    first.cancel()
    gate.leave(is_congested=None)
    await settle()

    assert second.done()
    assert (gate.in_flight, gate.waiting) == (1, 0)


async def test_a_waiter_that_goes_when_its_turn_has_come_hands_it_on() -> None:
    gate = made(calls=1)
    await gate.enter()
    first, second = (asyncio.create_task(gate.enter()) for _ in range(2))
    await settle()

    gate.leave(is_congested=None)
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
                tasks.append(asyncio.create_task(gate.enter()))
            elif event == "cancel" and tasks:
                tasks[len(tasks) // 2].cancel()
            elif event == "leave" and gate.in_flight:
                await settle()
                gate.leave(is_congested=None)
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


async def test_room_that_comes_belongs_to_those_who_wait_and_not_to_who_comes_last() -> None:
    limit = AdaptiveLimit(least=1, first=1, most=2)
    gate = Gate(limit, max_waiting=2, max_wait_seconds=60.0)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await settle()
    # Told to the limit alone, so that nobody is let in for what it grows by.
    for _ in range(10):
        limit.record(limit.era, is_congested=False, in_flight=1)

    late = asyncio.create_task(gate.enter())
    await settle()

    assert limit.calls == 2
    assert (late.done(), gate.waiting) == (False, 2)
    gate.leave(is_congested=None)
    await settle()
    assert (waiting.done(), late.done(), gate.in_flight) == (True, True, 2)
