"""What the start of the app changes in its process, its end changes back."""

import gc

from tests.fakes import FakeUpstream, gateway


async def test_the_collector_is_as_before_once_the_app_has_ended(upstream: FakeUpstream) -> None:
    before = gc.get_threshold(), gc.get_freeze_count()

    async with gateway(upstream):
        assert gc.get_threshold() != before[0]
        assert gc.get_freeze_count() > before[1]

    assert (gc.get_threshold(), gc.get_freeze_count()) == before
