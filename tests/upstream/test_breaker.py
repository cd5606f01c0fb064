"""The breaker as a state machine: what opens it, and how one probe closes it."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from gallery_gateway.upstream.breaker import Breaker, BreakerRules, CallResult, State
from tests.upstream.clocks import Seconds

OPEN_SECONDS = 5.0


RULES = BreakerRules(
    failure_share=0.5, slow_share=0.75, min_calls=4, window_seconds=10.0, open_seconds=OPEN_SECONDS
)


def call(breaker: Breaker, *results: CallResult) -> None:
    for result in results:
        ticket = breaker.begin()
        assert ticket is not None
        breaker.end(ticket, result)


def opened(clock: Seconds) -> Breaker:
    breaker = Breaker(RULES, clock)
    call(breaker, *[CallResult.FAILED] * 4)
    return breaker


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def test_it_is_closed_to_begin_with(clock: Seconds) -> None:
    assert Breaker(RULES, clock).state is State.CLOSED


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([CallResult.FAILED] * 3, State.CLOSED),
        ([CallResult.FAILED] * 4, State.OPEN),
        ([CallResult.FINE] * 2 + [CallResult.FAILED] * 2, State.OPEN),
        ([CallResult.FINE] * 3 + [CallResult.FAILED] * 2, State.CLOSED),
        ([CallResult.SLOW] * 4, State.OPEN),
        ([CallResult.FINE] * 2 + [CallResult.SLOW] * 2, State.CLOSED),
        ([CallResult.FINE] + [CallResult.SLOW] * 3, State.OPEN),
        ([CallResult.UNKNOWN] * 9 + [CallResult.FAILED] * 3, State.CLOSED),
    ],
)
def test_it_opens_when_too_many_of_enough_calls_failed_or_were_slow(
    clock: Seconds, results: list[CallResult], state: State
) -> None:
    breaker = Breaker(RULES, clock)

    call(breaker, *results)

    assert breaker.state is state


def test_calls_outside_the_window_do_not_count(clock: Seconds) -> None:
    breaker = Breaker(RULES, clock)
    call(breaker, *[CallResult.FAILED] * 3)

    clock.step(11)
    call(breaker, CallResult.FAILED)

    assert breaker.state is State.CLOSED


def test_the_window_slides_and_does_not_jump(clock: Seconds) -> None:
    breaker = Breaker(RULES, clock)
    call(breaker, *[CallResult.FAILED] * 3)

    clock.step(8)
    call(breaker, CallResult.FAILED)

    assert breaker.state is State.OPEN


def test_an_open_breaker_lets_no_call_through_before_its_time(clock: Seconds) -> None:
    breaker = opened(clock)

    clock.step(OPEN_SECONDS - 0.01)

    assert breaker.is_shut()
    assert breaker.begin() is None


def test_a_half_open_breaker_admits_one_call_whose_success_closes_it(clock: Seconds) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)

    probe = breaker.begin()

    assert probe is not None
    assert breaker.begin() is None
    breaker.end(probe, CallResult.FINE)
    assert breaker.state is State.CLOSED
    call(breaker, *[CallResult.FAILED] * 3)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("result", [CallResult.FAILED, CallResult.SLOW])
def test_a_probe_that_fails_opens_it_again(clock: Seconds, result: CallResult) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)

    call(breaker, result)

    assert breaker.state is State.OPEN
    assert breaker.begin() is None


def test_the_next_call_probes_after_a_probe_is_given_up(clock: Seconds) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)

    call(breaker, CallResult.UNKNOWN)

    call(breaker, CallResult.FINE)
    assert breaker.state is State.CLOSED


def test_a_call_from_before_it_opened_says_nothing_about_the_probe(clock: Seconds) -> None:
    breaker = Breaker(RULES, clock)
    late = breaker.begin()
    assert late is not None
    call(breaker, *[CallResult.FAILED] * 4)
    clock.step(OPEN_SECONDS)
    breaker.begin()

    breaker.end(late, CallResult.FINE)

    assert breaker.state is State.HALF_OPEN


class Interleavings(RuleBasedStateMachine):
    """Calls that begin and end in any order, while time goes by."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Seconds()
        self.breaker = Breaker(RULES, self.clock)
        self.opened_at = 0.0
        self.probes: set[int] = set()
        self.handed_out = 0

    @rule(target=tickets)
    def begin(self) -> tuple[int, int | None]:
        was_closed = self.breaker.state is State.CLOSED
        ticket = self.breaker.begin()
        self.handed_out += 1
        if was_closed:
            assert ticket is not None
        elif ticket is not None:
            assert not self.probes
            assert self.clock() >= self.opened_at
            self.probes.add(self.handed_out)
        return self.handed_out, ticket

    @rule(held=consumes(tickets), result=st.sampled_from(CallResult))
    def end(self, held: tuple[int, int | None], result: CallResult) -> None:
        number, ticket = held
        if ticket is None:
            return
        before = self.breaker.state
        self.breaker.end(ticket, result)
        is_probe = number in self.probes
        self.probes.discard(number)
        if before is State.HALF_OPEN:
            assert (self.breaker.state is not State.HALF_OPEN) == is_probe
            assert (self.breaker.state is State.CLOSED) == (
                is_probe and result in {CallResult.FINE, CallResult.REFUSED}
            )
        if before is not State.OPEN and self.breaker.state is State.OPEN:
            self.opened_at = self.clock() + (0 if result is CallResult.UNKNOWN else OPEN_SECONDS)

    @rule(seconds=st.floats(0.1, 12))
    def wait(self, seconds: float) -> None:
        self.clock.step(seconds)

    @precondition(lambda self: self.breaker.state is State.CLOSED)
    @rule()
    def fail(self) -> None:
        while self.breaker.state is State.CLOSED:
            call(self.breaker, CallResult.FAILED)
        self.opened_at = self.clock() + OPEN_SECONDS

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        assert len(self.probes) <= 1
        assert (self.breaker.state is State.HALF_OPEN) == bool(self.probes)


TestInterleavings = Interleavings.TestCase


def test_the_caller_whose_probe_failed_leaves_the_next_probe_to_others_for_another_pause(
    clock: Seconds,
) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)
    probe = breaker.begin(b"ada")
    assert probe is not None
    breaker.end(probe, CallResult.FAILED)

    clock.step(OPEN_SECONDS)

    assert breaker.begin(b"ada") is None
    assert breaker.begin(b"ben") is not None


def test_the_caller_whose_probe_failed_probes_again_if_no_other_caller_does(clock: Seconds) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)
    probe = breaker.begin(b"ada")
    assert probe is not None
    breaker.end(probe, CallResult.FAILED)

    clock.step(7 * OPEN_SECONDS)

    assert breaker.begin(b"ada") is not None


def test_a_probe_that_takes_too_long_leaves_its_place_to_another_caller(clock: Seconds) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)
    late = breaker.begin(b"ada")
    assert late is not None
    clock.step(OPEN_SECONDS)

    assert breaker.begin(b"ada") is None
    probe = breaker.begin(b"ben")

    assert probe is not None
    breaker.end(late, CallResult.FAILED)
    breaker.end(probe, CallResult.FINE)
    assert breaker.state is State.CLOSED


def test_several_callers_with_bad_requests_keep_it_open_for_one_pause_each(clock: Seconds) -> None:
    breaker = opened(clock)

    for bad in (b"a", b"b", b"c"):
        clock.step(OPEN_SECONDS)
        probe = breaker.begin(bad)
        assert probe is not None
        breaker.end(probe, CallResult.FAILED)
    clock.step(OPEN_SECONDS)

    assert [breaker.begin(bad) for bad in (b"a", b"b", b"c")] == [None] * 3
    probe = breaker.begin(b"good")
    assert probe is not None
    breaker.end(probe, CallResult.FINE)
    assert breaker.state is State.CLOSED


def test_a_caller_that_may_not_probe_does_so_as_a_last_resort(clock: Seconds) -> None:
    breaker = opened(clock)
    clock.step(OPEN_SECONDS)

    assert breaker.begin(b"made up", may_probe=False) is None
    clock.step(6 * OPEN_SECONDS)
    assert breaker.begin(b"made up", may_probe=False) is not None
