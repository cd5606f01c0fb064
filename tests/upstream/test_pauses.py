from gallery_gateway.upstream.resilience import RateLimitMemory
from tests.upstream.clocks import Seconds


def test_a_caller_who_was_told_to_wait_waits_and_no_other() -> None:
    clock = Seconds()
    memory = RateLimitMemory(clock=clock)
    memory.remember(b"ada", 7)

    clock.step(2)

    assert memory.remaining_seconds(b"ada") == 5
    assert memory.remaining_seconds(b"ben") == 0


def test_a_pause_ends() -> None:
    clock = Seconds()
    memory = RateLimitMemory(clock=clock)
    memory.remember(b"ada", 7)

    clock.step(7)

    assert memory.remaining_seconds(b"ada") == 0


def test_nobody_waits_for_more_than_an_hour() -> None:
    memory = RateLimitMemory(clock=Seconds())

    memory.remember(b"ada", 10**9)

    assert memory.remaining_seconds(b"ada") == 3_600


def test_only_so_many_callers_are_remembered() -> None:
    memory = RateLimitMemory(clock=Seconds(), max_callers=2)

    for caller in (b"ada", b"ben", b"cay"):
        memory.remember(caller, 7)

    assert [memory.remaining_seconds(caller) for caller in (b"ada", b"ben", b"cay")] == [0, 7, 7]
