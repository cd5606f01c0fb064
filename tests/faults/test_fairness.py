"""One greedy caller and seven modest ones: whatever the greedy one does, the others are served."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.fakes import Client, FakeUpstream, gateway, page_body

CALL_SECONDS = 0.1
MODEST = [f"made-up-{number}" for number in range(7)]
GREEDY = "made-up-greedy"
CALLS = 8

# What the gateway and the test take themselves on a busy machine, for each call.
PATIENCE_SECONDS = 0.1


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


async def modest_seconds(client: Client, token: str) -> float:
    """Make some calls, one after the other; return the median time of one."""
    seconds = []
    for number in range(CALLS):
        began = time.monotonic()
        answer = await client.ask(
            f'{{ gallery(search: "m{number}") {{ pagination {{ total }} }} }}', token=token
        )
        seconds.append(time.monotonic() - began)
        assert "errors" not in answer, answer
    return statistics.median(seconds)


@asynccontextmanager
async def greedy_caller(client: Client, *, operations: int, aliases: int) -> AsyncIterator[None]:
    """Many operations of one caller at once, and again as they end."""

    async def go_on(start: int) -> None:
        number = start
        while True:
            fields = (
                f'a{alias}: gallery(search: "g{number}-{alias}") {{ pagination {{ total }} }}'
                for alias in range(aliases)
            )
            await client.ask("{ " + " ".join(fields) + " }", token=GREEDY)
            number += operations
            await asyncio.sleep(0)

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
    [(answered_late, 35), (never_answered, 35), (failed, 5), (reset, 5)],
    ids=["floods", "asks for slow pages", "asks what is answered by 500", "asks what is cut off"],
)
async def test_each_modest_caller_takes_no_more_than_twice_its_time_alone_and_nothing_fails(
    greedy: Callable[[httpx.Request], object], operations: int
) -> None:
    upstream = answering(greedy)
    async with gateway(upstream, cache_ttl_seconds=0, upstream_max_attempts=3) as client:
        alone = await modest_seconds(client, MODEST[0])
        async with greedy_caller(client, operations=operations, aliases=20):
            seconds = await asyncio.gather(*(modest_seconds(client, token) for token in MODEST))

    assert max(seconds) <= 2 * alone + PATIENCE_SECONDS, (alone, seconds)


async def test_a_caller_who_comes_while_700_calls_of_another_wait_is_served_at_once() -> None:
    upstream = answering(answered_late)
    async with gateway(upstream, cache_ttl_seconds=0) as client:
        alone = await modest_seconds(client, MODEST[0])
        async with greedy_caller(client, operations=35, aliases=20):
            began = time.monotonic()
            answer = await client.ask("{ gallery { pagination { total } } }", token=MODEST[1])
            seconds = time.monotonic() - began

    assert "errors" not in answer
    assert seconds <= 2 * alone + PATIENCE_SECONDS
