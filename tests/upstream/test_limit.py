"""The adaptive limit: how it grows, how it shrinks, and where it stops."""

from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.upstream.limiter import AdaptiveLimit, LimiterRules

ADA, BEN, CAI = b"key-of-ada", b"key-of-ben", b"key-of-cai"


def limit_of(*, first_calls: int, max_calls: int) -> AdaptiveLimit:
    return AdaptiveLimit(LimiterRules(first_calls=first_calls, min_calls=4), max_calls=max_calls)


def run(limit: AdaptiveLimit, calls: int, *, congested: int = 0, in_flight: int | None = None) -> None:
    """Record calls of three callers in turn, the first ones congested; as many at a time as are allowed."""
    for number in range(calls):
        at_a_time = limit.calls if in_flight is None else in_flight
        caller = (ADA, BEN, CAI)[number % 3]
        limit.record(caller, limit.era, is_congested=number < congested, in_flight=at_a_time)


def test_it_begins_where_it_is_told_to() -> None:
    assert limit_of(first_calls=20, max_calls=100).calls == 20
    assert limit_of(first_calls=20, max_calls=3).calls == 3


def test_it_doubles_until_it_shrinks_for_the_first_time_and_then_grows_by_one() -> None:
    limit = limit_of(first_calls=10, max_calls=100)

    run(limit, 10)
    assert limit.calls == 20
    run(limit, 20, congested=3)
    assert limit.calls == 16
    run(limit, 16)
    assert limit.calls == 17


def test_a_few_congested_calls_do_not_shrink_it() -> None:
    limit = limit_of(first_calls=20, max_calls=20)

    run(limit, 20, congested=2)

    assert limit.calls == 20


def test_it_halves_when_more_than_half_of_the_calls_were_congested() -> None:
    limit = limit_of(first_calls=20, max_calls=100)

    run(limit, 20, congested=11)

    assert limit.calls == 10


def test_what_began_before_it_shrank_does_not_shrink_it_again() -> None:
    limit = limit_of(first_calls=20, max_calls=100)
    era = limit.era

    for number in range(100):
        limit.record((ADA, BEN)[number % 2], era, is_congested=True, in_flight=20)

    assert limit.calls == 10


def test_it_does_not_grow_while_it_is_not_used() -> None:
    limit = limit_of(first_calls=20, max_calls=100)

    run(limit, 200, in_flight=2)

    assert limit.calls == 20


def test_it_comes_back_after_the_worst() -> None:
    limit = limit_of(first_calls=20, max_calls=40)
    run(limit, 1_000, congested=1_000)
    assert limit.calls == 4

    run(limit, 1_200)

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
    run(limit, 20)

    for _ in range(1_000):
        limit.record(ADA, limit.era, is_congested=True, in_flight=20)

    assert limit.calls == 20


def test_several_callers_slow_calls_shrink_it() -> None:
    limit = limit_of(first_calls=20, max_calls=20)

    for number in range(20):
        limit.record((ADA, BEN, CAI)[number % 3], limit.era, is_congested=True, in_flight=20)

    assert limit.calls == 10
