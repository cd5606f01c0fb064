"""What the start of the app changes in its process, its end changes back."""

import asyncio
import gc
from typing import Any

from tests.fakes import FakeUpstream, gateway, page_body, project_body


async def test_the_collector_is_as_before_once_the_app_has_ended(upstream: FakeUpstream) -> None:
    before = gc.get_threshold(), gc.get_freeze_count()

    async with gateway(upstream):
        assert gc.get_threshold() != before[0]
        assert gc.get_freeze_count() > before[1]

    assert (gc.get_threshold(), gc.get_freeze_count()) == before


async def test_no_timer_and_no_task_is_left_once_the_app_has_ended(upstream: FakeUpstream) -> None:
    """An app that is mounted in another one shares its event loop, which goes on."""
    upstream.answer(json=page_body(project_body(7), total=1))
    loop: Any = asyncio.get_running_loop()
    before = {timer for timer in loop._scheduled if not timer.cancelled()}, asyncio.all_tasks()

    async with gateway(upstream) as client:
        await client.ask("{ gallery { projects { projectId } } }")

    await asyncio.sleep(0)
    after = {timer for timer in loop._scheduled if not timer.cancelled()}, asyncio.all_tasks()
    assert after == before
