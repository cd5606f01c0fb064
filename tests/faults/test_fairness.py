"""One greedy caller and seven modest ones: the greedy one never keeps the others from being served."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gallery_gateway.clock import Clock
from tests import virtual_time
from tests.fakes import Client, FakeUpstream, gateway, page_body

CALL_SECONDS = 0.1
MODEST = [f"made-up-{number}" for number in range(7)]
GREEDY = "made-up-greedy"
CALLS = 4


async def answered_late(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(CALL_SECONDS)
    return httpx.Response(200, json=page_body())


async def never_answered(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(3600)
    raise AssertionError


async def failed(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(500)


async def reset(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset")


def answering(greedy: Callable[[httpx.Request], object]) -> FakeUpstream:
    """An upstream that takes its time for everyone, but for the greedy caller's requests."""
    upstream = FakeUpstream()

    async def handler(request: httpx.Request) -> httpx.Response:
        is_greedy = request.headers["authorization"].endswith(GREEDY)
        response = greedy(request) if is_greedy else answered_late(request)
        answer = await response  # type: ignore[misc]  # a coroutine of one of the functions above
        assert isinstance(answer, httpx.Response)
        return answer

    upstream.handler = handler
    return upstream


@asynccontextmanager
async def fair_gateway(upstream: FakeUpstream, **settings: Any) -> AsyncIterator[Client]:
    """A gateway without a cache that goes by the loop's time."""
    clock = Clock(monotonic=asyncio.get_running_loop().time)
    async with gateway(upstream, clock=clock, cache_ttl_seconds=0, **settings) as client:
        yield client


async def modest_seconds(client: Client, token: str) -> float:
    """Make some calls, one after the other; return the median time of one."""
    seconds = []
    for number in range(CALLS):
        began = asyncio.get_running_loop().time()
        answer = await client.ask(
            f'{{ gallery(search: "m{number}") {{ pagination {{ total }} }} }}', token=token
        )
        seconds.append(asyncio.get_running_loop().time() - began)
        assert "errors" not in answer, answer
    return statistics.median(seconds)


@asynccontextmanager
async def greedy_caller(client: Client, *, operations: int, aliases: int) -> AsyncIterator[None]:
    """Many operations of one caller at once, each again soon after it has ended."""

    async def go_on(start: int) -> None:
        number = start
        while True:
            fields = (
                f'a{alias}: gallery(search: "g{number}-{alias}") {{ pagination {{ total }} }}'
                for alias in range(aliases)
            )
            await client.ask("{ " + " ".join(fields) + " }", token=GREEDY)
            number += operations
            # Without a pause, no time would pass while it is refused.
            await asyncio.sleep(CALL_SECONDS)

    tasks = [asyncio.create_task(go_on(number)) for number in range(operations)]
    try:
        # Until it has taken what it can.
        await asyncio.sleep(CALL_SECONDS)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("greedy", "operations"),
    [(answered_late, 20), (never_answered, 20), (failed, 3), (reset, 3)],
    ids=["floods", "asks for slow pages", "asks what is answered by 500", "asks what is cut off"],
)
def test_each_modest_caller_takes_no_more_than_twice_its_time_alone_and_nothing_fails(
    greedy: Callable[[httpx.Request], object], operations: int
) -> None:
    async def run() -> list[float]:
        async with (
            fair_gateway(answering(greedy), upstream_max_attempts=3) as client,
            greedy_caller(client, operations=operations, aliases=20),
        ):
            return await asyncio.gather(*(modest_seconds(client, token) for token in MODEST))

    assert max(virtual_time.run(run)) <= 2 * CALL_SECONDS


def test_a_caller_is_served_at_once_while_700_calls_of_another_wait() -> None:
    async def run() -> float:
        async with (
            fair_gateway(answering(answered_late)) as client,
            greedy_caller(client, operations=35, aliases=20),
        ):
            return await modest_seconds(client, MODEST[0])

    assert virtual_time.run(run) <= 2 * CALL_SECONDS


def test_a_caller_whose_slow_pages_came_first_and_alone_leaves_room_for_the_others() -> None:
    async def run() -> list[float]:
        async with (
            fair_gateway(answering(never_answered)) as client,
            greedy_caller(client, operations=3, aliases=20),
        ):
            # Long enough for some windows of calls that ran out of time.
            await asyncio.sleep(120)
            return await asyncio.gather(*(modest_seconds(client, token) for token in MODEST))

    assert max(virtual_time.run(run)) <= 2 * CALL_SECONDS
