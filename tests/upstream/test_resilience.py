"""Calls with everything around them: what counts, which calls are refused, and what is released."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from gallery_gateway.errors import (
    ForbiddenError,
    GatewayError,
    OverloadedError,
    RateLimitedError,
    RejectedParameterError,
    UnauthenticatedError,
    UpstreamContractError,
    UpstreamNotFoundError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.breaker import BreakerRules, CallResult, State
from gallery_gateway.upstream.client import GalleryClient
from gallery_gateway.upstream.limiter import LimiterRules
from gallery_gateway.upstream.resilience import Deadline, RateLimitMemory, Resilience, ResilienceRules
from gallery_gateway.upstream.retries import RetryRules
from gallery_gateway.upstream.transport import Timeouts
from tests.fakes import page_body
from tests.upstream.clocks import Seconds

FEW_CALLS = BreakerRules(min_calls=4)
ADA, BEN, CAI = b"key-of-ada", b"key-of-ben", b"key-of-cai"


def made(
    clock: Seconds,
    *,
    max_attempts: int = 1,
    max_connections: int = 100,
    breaker: BreakerRules = FEW_CALLS,
    **rules: Any,
) -> Resilience:
    return Resilience(
        ResilienceRules(breaker=breaker, **rules),
        max_attempts=max_attempts,
        max_connections=max_connections,
        clock=clock,
    )


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def failing(error: GatewayError) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        raise error

    return call


async def fine() -> str:
    return "page"


class Transport(httpx.AsyncBaseTransport):
    """Makes calls, and answers with a page if they return."""

    def __init__(self, call: Callable[[], Awaitable[str]]) -> None:
        self._call = call

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._call()
        return httpx.Response(200, json=page_body(), request=request)


async def fetch(
    resilience: Resilience,
    call: Callable[[], Awaitable[str]],
    *,
    caller_key: bytes = ADA,
    deadline: Deadline | None = None,
) -> str:
    """Fetch a page over a client, whose transport makes the call."""
    client = GalleryClient(
        base_url="https://api.example",
        transport=Transport(call),
        timeouts=Timeouts(connect=1, first_byte=1, read=1, total=1),
        max_bytes=100_000,
        user_agent="test",
        resilience=resilience,
    )
    await client.fetch_page("", authorization="Bearer x", caller_key=caller_key, deadline=deadline)
    return "page"


async def run(
    resilience: Resilience, call: Callable[[], Awaitable[str]], *, caller_key: bytes = ADA
) -> str | GatewayError:
    try:
        return await fetch(resilience, call, caller_key=caller_key)
    except GatewayError as exc:
        return exc


@pytest.mark.parametrize(
    "error",
    [
        UpstreamUnavailableError("failed", kind="status_5xx"),
        UpstreamTimeoutError("failed", kind="read_timeout"),
    ],
)
async def test_an_api_that_fails_gets_no_calls_and_then_one_probe(
    clock: Seconds, error: GatewayError
) -> None:
    resilience = made(clock)
    made_calls = 0

    async def counted() -> str:
        nonlocal made_calls
        made_calls += 1
        await asyncio.sleep(0)
        return "page"

    for _ in range(4):
        await run(resilience, failing(error))
    shut_out = await run(resilience, counted)
    assert isinstance(shut_out, UpstreamUnavailableError)
    assert made_calls == 0

    clock.step(5)
    answers = await asyncio.gather(*(run(resilience, counted) for _ in range(10)))

    assert answers.count("page") == 1
    assert made_calls == 1
    assert resilience.breakers.api.state is State.CLOSED


@pytest.mark.parametrize(
    "error",
    [
        UnauthenticatedError("failed"),
        ForbiddenError("failed"),
        UpstreamNotFoundError("failed"),
        RejectedParameterError("failed", parameter=None),
        RateLimitedError("failed"),
        UpstreamContractError("failed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_api_that_answers_opens_no_breaker(clock: Seconds, error: GatewayError) -> None:
    resilience = made(clock)

    for _ in range(50):
        await run(resilience, failing(error))

    assert resilience.breakers.api.state is State.CLOSED
    assert await run(resilience, fine) == "page"


async def test_calls_that_are_slow_open_the_breaker_and_lower_the_limit(clock: Seconds) -> None:
    resilience = made(clock, breaker=BreakerRules(window_seconds=600))

    async def slow() -> str:
        clock.step(10)
        return "page"

    for number in range(20):
        assert await run(resilience, slow, caller_key=(ADA, BEN, CAI)[number % 3]) == "page"

    assert resilience.breakers.api.state is State.OPEN
    assert resilience.limiter.limit.calls == 10


async def test_calls_that_are_given_up_early_do_not_count(clock: Seconds) -> None:
    resilience = made(clock)

    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    for _ in range(50):
        task = asyncio.create_task(run(resilience, never))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert resilience.breakers.api.state is State.CLOSED
    assert resilience.limiter.in_flight == 0
    assert resilience.limiter.limit.calls == 20


async def test_an_unexpected_exception_releases_the_place(clock: Seconds) -> None:
    resilience = made(clock)

    async def broken() -> str:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await run(resilience, broken)

    assert resilience.limiter.in_flight == 0


async def test_a_rate_limited_caller_makes_no_call_before_its_time(clock: Seconds) -> None:
    resilience = made(clock)
    await run(resilience, failing(RateLimitedError("failed", retry_after_seconds=7)))
    clock.step(2.5)

    refused = await run(resilience, fine)

    assert isinstance(refused, RateLimitedError)
    assert refused.extensions == {"code": "RATE_LIMITED", "retryAfter": 5}
    assert await run(resilience, fine, caller_key=BEN) == "page"
    clock.step(4.5)
    assert await run(resilience, fine) == "page"


async def test_a_call_that_waited_while_the_breaker_opened_is_not_made(clock: Seconds) -> None:
    resilience = made(clock, max_connections=1)
    release = asyncio.Event()

    async def failing_when_released() -> str:
        await release.wait()
        raise UpstreamUnavailableError("failed", kind="status_5xx")

    for _ in range(3):
        await run(resilience, failing(UpstreamUnavailableError("failed", kind="status_5xx")))
    first = asyncio.create_task(run(resilience, failing_when_released))
    await asyncio.sleep(0)
    second = asyncio.create_task(run(resilience, fine))
    await asyncio.sleep(0)
    assert resilience.limiter.waiting == 1

    release.set()
    await first

    assert isinstance(await second, UpstreamUnavailableError)
    assert resilience.limiter.in_flight == 0


async def test_more_calls_than_may_wait_are_refused(clock: Seconds) -> None:
    resilience = made(clock, max_connections=1, limiter=LimiterRules(max_waiting=1))
    release = asyncio.Event()

    async def waiting() -> str:
        await release.wait()
        return "page"

    tasks = [asyncio.create_task(run(resilience, waiting)) for _ in range(3)]
    await asyncio.sleep(0)
    release.set()
    answers = await asyncio.gather(*tasks)

    assert [answer if isinstance(answer, str) else type(answer) for answer in answers] == [
        "page",
        "page",
        OverloadedError,
    ]


async def test_no_call_queues_while_the_breaker_is_open(clock: Seconds) -> None:
    resilience = made(clock, max_connections=1)
    release = asyncio.Event()

    async def waiting() -> str:
        await release.wait()
        return "page"

    holder = asyncio.create_task(run(resilience, waiting))
    await asyncio.sleep(0)
    for _ in range(4):
        ticket = resilience.breakers.begin(BEN, "page 1")
        assert ticket is not None
        resilience.breakers.end(ticket, CallResult.UNREACHABLE)

    refused = await run(resilience, fine)

    assert isinstance(refused, UpstreamUnavailableError)
    release.set()
    assert await holder == "page"


async def test_calls_earn_the_retries_that_they_may_need(clock: Seconds) -> None:
    resilience = made(clock, retries=RetryRules(budget_share=0.5, min_per_second=0))
    while resilience.retries.spend(ADA):
        pass

    await run(resilience, fine)
    assert not resilience.retries.spend(ADA)
    await run(resilience, fine)

    assert resilience.retries.spend(ADA)


async def test_a_retry_is_not_waited_for_beyond_the_deadline(clock: Seconds) -> None:
    resilience = made(clock, max_attempts=3)
    attempts = 0

    async def failing_call() -> str:
        nonlocal attempts
        attempts += 1
        raise UpstreamUnavailableError("failed", kind="status_503", retry_after_seconds=1)

    with pytest.raises(UpstreamUnavailableError):
        await fetch(
            resilience,
            failing_call,
            deadline=Deadline(asyncio.get_running_loop().time() + 0.9),
        )

    assert attempts == 1


async def test_calls_that_were_not_made_earn_no_retries(clock: Seconds) -> None:
    resilience = made(clock, retries=RetryRules(budget_share=0.5, min_per_second=0))
    for _ in range(4):
        await run(resilience, failing(UpstreamUnavailableError("failed", kind="status_5xx")))
    while resilience.retries.spend(ADA):
        pass

    for _ in range(50):
        assert isinstance(await run(resilience, fine), UpstreamUnavailableError)

    assert not resilience.retries.spend(ADA)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_call_ends_at_its_deadline(clock: Seconds) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(UpstreamTimeoutError) as caught:
        await fetch(made(clock), never, deadline=Deadline(now() + 0.01))

    assert caught.value.kind == "given_up"


async def test_an_operation_that_joins_extends_the_deadline_of_a_call(clock: Seconds) -> None:
    deadline = Deadline(now() + 0.01)

    async def long() -> str:
        deadline.extend(now() + 60)
        await asyncio.sleep(0.03)
        return "page"

    assert await fetch(made(clock), long, deadline=deadline) == "page"
    assert deadline.remaining_seconds > 50


async def test_a_call_ends_at_its_extended_deadline(clock: Seconds) -> None:
    deadline = Deadline(now() + 0.01)
    began_at = now()

    async def never() -> str:
        deadline.extend(now() + 0.03)
        deadline.extend(began_at + 0.05)
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(UpstreamTimeoutError):
        await fetch(made(clock), never, deadline=deadline)

    # The loop counts in milliseconds.
    assert now() - began_at >= 0.048


async def test_the_deadline_of_a_call_that_has_ended_cancels_nothing(clock: Seconds) -> None:
    await fetch(made(clock), fine, deadline=Deadline(now() + 0.01))

    await asyncio.sleep(0.03)


async def test_a_call_that_was_given_up_leaves_its_task_uncancelled(clock: Seconds) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(UpstreamTimeoutError):
        await fetch(made(clock), never, deadline=Deadline(now()))

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("has_passed", [True, False])
async def test_a_call_that_is_cancelled_ends_as_cancelled(clock: Seconds, has_passed: bool) -> None:
    """Even if its deadline passes at the same moment."""
    deadline = Deadline(now() if has_passed else now() + 60)

    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    call = asyncio.create_task(fetch(made(clock), never, deadline=deadline))
    await asyncio.sleep(0)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call


async def test_no_operation_shortens_a_deadline() -> None:
    deadline = Deadline(now() + 60)

    deadline.extend(now())

    assert deadline.remaining_seconds > 50


async def test_a_deadline_can_be_extended_before_and_after_the_call(clock: Seconds) -> None:
    deadline = Deadline(now() + 10)
    deadline.extend(now() + 20)

    await fetch(made(clock), fine, deadline=deadline)
    deadline.extend(now() + 30)

    assert deadline.remaining_seconds > 25


def test_a_rate_limit_holds_for_its_caller_and_no_other(clock: Seconds) -> None:
    memory = RateLimitMemory(clock=clock)
    memory.remember(ADA, 7)

    clock.step(2)

    assert memory.remaining_seconds(ADA) == 5
    assert memory.remaining_seconds(BEN) == 0


def test_a_rate_limit_ends(clock: Seconds) -> None:
    memory = RateLimitMemory(clock=clock)
    memory.remember(ADA, 7)

    clock.step(7)

    assert memory.remaining_seconds(ADA) == 0


def test_no_rate_limit_holds_for_more_than_an_hour(clock: Seconds) -> None:
    memory = RateLimitMemory(clock=clock)

    memory.remember(ADA, 10**9)

    assert memory.remaining_seconds(ADA) == 3_600


def test_the_number_of_remembered_callers_is_bounded(clock: Seconds) -> None:
    memory = RateLimitMemory(clock=clock, max_callers=2)

    for caller in (ADA, BEN, CAI):
        memory.remember(caller, 7)

    assert [memory.remaining_seconds(caller) for caller in (ADA, BEN, CAI)] == [0, 7, 7]
