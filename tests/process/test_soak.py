"""The short form of `python -m tests.soak`."""

from tests.soak.phases import WITH_RULES, disconnects, faults, outage


async def test_under_faults_most_is_answered_and_nothing_grows() -> None:
    outcome = await faults("with", WITH_RULES, seconds=2, rate=0.2, on_tick=lambda _done: None)

    # A third without the rules, and 3 in a hundred with them.
    assert outcome.failed < 0.15
    assert outcome.share("stale") > 0
    assert outcome.after.tasks <= outcome.before.tasks


async def test_when_upstream_is_down_what_was_asked_for_before_is_still_answered() -> None:
    outcome = await outage("with", WITH_RULES, seconds=1, on_tick=lambda _done: None)

    assert outcome.answered == 1
    assert outcome.share("stale") > 0


async def test_clients_that_hang_up_leave_nothing_behind() -> None:
    before, after = await disconnects(times=500, on_tick=lambda _done: None)

    assert after.tasks == before.tasks
    assert after.sockets <= before.sockets + 20
    assert after.rss_bytes < before.rss_bytes + 20 * 2**20
