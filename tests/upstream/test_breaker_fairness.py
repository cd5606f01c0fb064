"""An outage shuts everybody out; the failures of one caller shut out that caller alone."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.upstream.breaker import (
    ApiBreaker,
    BreakerRules,
    CallResult,
    CircuitBreakers,
    Counts,
    State,
)
from tests.upstream.clocks import Seconds

CALLERS = [b"key-%d" % number for number in range(8)]
GREEDY, MODEST = CALLERS[0], CALLERS[1:]
RULES = BreakerRules(failure_share=0.5, slow_share=0.9, min_calls=20, window_seconds=10.0, open_seconds=5.0)
BAD = (CallResult.FAILED, CallResult.SLOW)


def made(clock: Seconds | None = None) -> CircuitBreakers:
    return CircuitBreakers(RULES, clock or Seconds())


def call(breakers: CircuitBreakers, caller: bytes, question: str, result: CallResult) -> bool:
    """Make a call; return whether it was let through."""
    ticket = breakers.begin(caller, question)
    if ticket is not None:
        breakers.end(ticket, result)
    return ticket is not None


@pytest.mark.parametrize("result", BAD)
@pytest.mark.parametrize("others", [0, 1, 7])
def test_the_bad_calls_of_one_caller_shut_out_that_caller_alone(result: CallResult, others: int) -> None:
    breakers = made()

    for number in range(100):
        call(breakers, GREEDY, f"q{number}", result)
        for caller in MODEST[:others]:
            assert call(breakers, caller, "page 1", CallResult.FINE)

    assert breakers.is_shut(GREEDY)
    assert breakers.api.state is State.CLOSED
    assert call(breakers, MODEST[0], "page 1", CallResult.FINE)
    assert breakers.opened == {"api": 0, "caller": 1}


@pytest.mark.parametrize("result", BAD)
def test_one_request_that_fails_for_all_callers_does_not_open_the_api_breaker(result: CallResult) -> None:
    breakers = made()

    for _ in range(4):
        for caller in CALLERS:
            call(breakers, caller, "bad", result)
            call(breakers, caller, "bad", result)
            call(breakers, caller, "page 1", CallResult.FINE)
            call(breakers, caller, "page 2", CallResult.FINE)

    assert breakers.api.state is State.CLOSED


@pytest.mark.parametrize("result", BAD)
@pytest.mark.parametrize("questions", [1, 5])
def test_an_outage_that_all_callers_see_shuts_everybody_out(result: CallResult, questions: int) -> None:
    breakers = made()

    for number in range(20):
        call(breakers, CALLERS[number % 8], f"page {number % questions}", result)

    assert breakers.api.state is State.OPEN
    assert breakers.is_shut(b"a caller who never called")


def test_failing_made_up_tokens_do_not_count_beside_callers_that_got_pages() -> None:
    breakers = made()
    for caller in MODEST:
        call(breakers, caller, "page 1", CallResult.FINE)

    for number in range(300):
        call(breakers, b"made-up-%d" % number, f"q{number}", CallResult.REFUSED)
        call(breakers, b"made-up-%d" % number, f"q{number}", CallResult.FAILED)
        call(breakers, b"made-up-%d" % number, f"r{number}", CallResult.FAILED)
        assert call(breakers, MODEST[number % 7], f"page {number % 5}", CallResult.FINE)

    assert breakers.api.state is State.CLOSED


def test_callers_who_were_served_before_shut_everybody_out_in_an_outage() -> None:
    clock = Seconds()
    breakers = made(clock)
    for caller in CALLERS:
        call(breakers, caller, "page 1", CallResult.FINE)
    clock.step(600)

    for number in range(20):
        call(breakers, CALLERS[number % 8], f"page {number}", CallResult.FAILED)

    assert breakers.api.state is State.OPEN


def test_unreachable_calls_of_one_caller_open_the_api_breaker() -> None:
    breakers = made()

    for _ in range(20):
        call(breakers, GREEDY, "page 1", CallResult.UNREACHABLE)

    assert breakers.api.state is State.OPEN


def test_a_request_that_fails_for_many_callers_does_not_cost_a_full_check_per_call() -> None:
    breakers = made()
    callers = [b"key-%d" % number for number in range(2_000)]
    api = breakers.api = CountingBreaker(RULES, Seconds(), breakers._served)

    for number in range(8_000):
        fails = number % 2 == 0
        question = "bad" if fails else f"page {number % 50}"
        call(
            breakers, callers[number // 2 % 2_000], question, CallResult.FAILED if fails else CallResult.FINE
        )

    assert breakers.api.state is State.CLOSED
    # Half of the calls fail.
    assert api.asked < 1_000


class CountingBreaker(ApiBreaker):
    """Counts how often it looks at all callers and requests."""

    asked = 0

    def _is_widespread(self, is_bad: Callable[[Counts, BreakerRules], bool]) -> bool:
        self.asked += self._skipped_looks == 0
        return super()._is_widespread(is_bad)


def test_a_caller_that_was_shut_out_probes_alone_and_comes_back() -> None:
    clock = Seconds()
    breakers = made(clock)
    for _ in range(20):
        call(breakers, GREEDY, "bad", CallResult.FAILED)
    clock.step(5)

    probe = breakers.begin(GREEDY, "page 1")

    assert probe is not None
    assert breakers.begin(GREEDY, "page 1") is None
    breakers.end(probe, CallResult.FINE)
    assert call(breakers, GREEDY, "page 1", CallResult.FINE)


def test_the_next_call_probes_after_a_probe_without_a_connection() -> None:
    clock = Seconds()
    breakers = made(clock)
    for _ in range(20):
        call(breakers, GREEDY, "bad", CallResult.FAILED)
    clock.step(5)

    assert call(breakers, GREEDY, "page 1", CallResult.UNREACHABLE)

    assert call(breakers, GREEDY, "page 1", CallResult.FINE)


def test_a_greedy_callers_probe_does_not_keep_the_api_shut_for_the_others() -> None:
    clock = Seconds()
    breakers = made(clock)
    for number in range(20):
        call(breakers, CALLERS[number % 8], f"page {number}", CallResult.FAILED)
    clock.step(5)
    assert call(breakers, GREEDY, "bad", CallResult.FAILED)
    clock.step(5)

    # The API works again, and the greedy caller is the first to try.
    assert not call(breakers, GREEDY, "bad", CallResult.FAILED)

    assert call(breakers, MODEST[0], "page 1", CallResult.FINE)
    assert breakers.api.state is State.CLOSED


@given(
    st.lists(
        st.tuples(st.sampled_from(CALLERS), st.integers(0, 9), st.sampled_from(list(CallResult))),
        max_size=300,
    ),
    st.sampled_from(BAD),
)
def test_no_behaviour_of_one_caller_shuts_out_the_others(
    greedy_calls: list[tuple[bytes, int, CallResult]], bad: CallResult
) -> None:
    clock = Seconds()
    breakers = made(clock)

    for caller, number, result in greedy_calls:
        if caller in MODEST:
            assert call(breakers, caller, f"page {number}", CallResult.FINE)
        else:
            reachable = bad if result is CallResult.UNREACHABLE else result
            call(breakers, GREEDY, f"q{number}", reachable)
        clock.step(0.05)
