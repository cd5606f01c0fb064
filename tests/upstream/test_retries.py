"""Which failures are retried, after how long, and how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.errors import (
    GatewayError,
    OverloadedError,
    RateLimitedError,
    UnauthenticatedError,
    UpstreamContractError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.resilience import Resilience
from gallery_gateway.upstream.retries import Retries, RetryBudget, RetryRules
from tests.upstream.clocks import Seconds

ADA, BEN = b"key-of-ada", b"key-of-ben"
PASSING = UpstreamUnavailableError("failed", kind="reset")


async def no_sleep(_seconds: float) -> None:
    return


def made(
    *, max_attempts: int = 3, share: float = 0.2, min_per_second: float = 1.0, jitter: float = 1.0
) -> Retries:
    """`jitter` is the random share of each wait."""
    return Retries(
        RetryRules(budget_share=share, min_per_second=min_per_second),
        max_attempts=max_attempts,
        clock=Seconds(),
        sleep=no_sleep,
        uniform=lambda least, most: least + jitter * (most - least),
    )


async def attempts(retries: Retries, *errors: GatewayError) -> int:
    """Fail with each of these errors in turn; return the number of attempts that are made."""
    for number, error in enumerate(errors, 1):
        if not await retries.wait(error, attempt=number, caller_key=ADA, remaining_seconds=60):
            return number
    return len(errors) + 1


async def test_a_failed_call_is_retried() -> None:
    assert await attempts(made(jitter=0), PASSING) == 2


async def test_the_number_of_attempts_is_bounded() -> None:
    assert await attempts(made(jitter=0), *[PASSING] * 5) == 3


async def test_a_permanent_error_ends_the_attempts() -> None:
    assert await attempts(made(jitter=0), PASSING, UnauthenticatedError("failed")) == 2


@pytest.mark.parametrize(
    "error",
    [
        UpstreamUnavailableError("failed", kind="status_5xx"),
        UpstreamTimeoutError("failed", kind="read_timeout"),
        UpstreamContractError("failed", kind="not_json"),
        OverloadedError("failed", retry_after_seconds=1),
    ],
)
def test_permanent_errors_are_not_retried(error: GatewayError) -> None:
    assert made().wait_seconds(error, attempt=1, remaining_seconds=60) is None


@pytest.mark.parametrize(("number", "longest"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 2.0)])
def test_the_wait_is_any_time_up_to_one_that_doubles(number: int, longest: float) -> None:
    waits = [
        made(max_attempts=9, jitter=jitter).wait_seconds(PASSING, attempt=number, remaining_seconds=60)
        for jitter in (0, 0.5, 1)
    ]

    assert waits == pytest.approx([0, longest / 2, longest])


@pytest.mark.parametrize("jitter", [0, 1])
def test_no_retry_comes_before_retry_after(jitter: float) -> None:
    error = RateLimitedError("failed", retry_after_seconds=1)

    wait = made(jitter=jitter).wait_seconds(error, attempt=1, remaining_seconds=60)

    assert wait is not None
    assert 1 <= wait <= 1.1


def test_a_long_retry_after_is_not_waited_for() -> None:
    error = UpstreamUnavailableError("failed", kind="status_503", retry_after_seconds=3)

    assert made().wait_seconds(error, attempt=1, remaining_seconds=60) is None


def test_no_wait_exceeds_the_deadline() -> None:
    assert made().wait_seconds(PASSING, attempt=1, remaining_seconds=0.1) is None
    assert made().wait_seconds(PASSING, attempt=1, remaining_seconds=0.11) is not None


def test_a_retry_that_is_not_made_costs_nothing_of_the_budget() -> None:
    retries = made()

    for _ in range(20):
        retries.wait_seconds(PASSING, attempt=1, remaining_seconds=0)

    assert retries.spend(ADA)


async def test_without_a_budget_there_is_no_retry() -> None:
    assert await attempts(made(share=0, min_per_second=0), PASSING) == 1


@given(
    st.lists(st.one_of(st.just("call"), st.just("retry"), st.floats(0, 5)), max_size=400),
    st.floats(0, 1),
    st.floats(0, 5),
)
def test_retries_stay_within_their_share_of_the_calls(
    events: list[str | float], share: float, min_per_second: float
) -> None:
    clock = Seconds()
    budget = RetryBudget(share=share, min_per_second=min_per_second, clock=clock)
    calls = retries = 0

    for event in events:
        if event == "call":
            budget.calls += 1
            calls += 1
        elif event == "retry":
            retries += budget.spend()
        elif isinstance(event, float):
            clock.step(event)

    seconds = clock() - Seconds()()
    assert retries <= 10 + share * calls + min_per_second * seconds + 1e-6


def count_call(resilience: Resilience, caller_key: bytes) -> None:
    """Make a call that does not have to wait."""
    with pytest.raises(StopIteration) as stopped:
        resilience.admit(caller_key, "page 1", attempt=1).send(None)
    resilience.release(stopped.value.value)


@given(st.lists(st.sampled_from(["greedy", "modest", "second"]), max_size=400))
def test_a_caller_that_retries_all_the_time_does_not_spend_what_others_earn(events: list[str]) -> None:
    clock = Seconds()
    resilience = Resilience(max_attempts=3, max_connections=10, clock=clock)
    retries = resilience.retries
    while retries.spend(ADA):
        pass
    while retries.budget.spend():
        pass
    modest_calls = 0

    for event in events:
        if event == "second":
            clock.step(1.0)
            continue
        count_call(resilience, ADA if event == "greedy" else BEN)
        modest_calls += event == "modest"
        while retries.spend(ADA):
            pass

    left = sum(retries.spend(BEN) for _ in range(10))
    assert left >= min(9, int(0.2 * modest_calls) - 1)
