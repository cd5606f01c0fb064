"""Clients that do not read: nothing piles up for them, and they get the latest state once they go on."""

import asyncio
from typing import Any

import pytest

from tests.edge.subscriptions.projects_api import COUNTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import in_virtual_time, opened

IMAGES = 200


def completed(responses: list[Any]) -> list[int]:
    return [response["data"]["gallery"]["projects"][0]["completedImages"] for response in responses]


@in_virtual_time
async def test_a_client_that_goes_on_reading_gets_the_latest_state() -> None:
    api = ProjectsAPI(project(pending=IMAGES, images=IMAGES))
    async with opened(api.upstream) as gateway:
        slow, fast = gateway.subscribe(COUNTS), gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        slow.is_reading.clear()
        for pending in range(IMAGES - 1, 0, -1):
            api.projects = [project(pending=pending, images=IMAGES)]
            await asyncio.sleep(4)
        slow.is_reading.set()
        await asyncio.sleep(4)

        assert completed(fast.responses) == list(range(IMAGES))
        # The first is in sending when the client stops.
        assert completed(slow.responses)[:2] == [0, 1]
        assert completed(slow.responses)[-1] == IMAGES - 1
        assert len(slow.responses) <= 3


@in_virtual_time
async def test_a_client_that_does_not_read_causes_no_call() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        subscriber.is_reading.clear()
        await asyncio.sleep(20)
        called = len(api.called_at)
        await asyncio.sleep(1_000)

        assert len(api.called_at) == called


@pytest.mark.parametrize(("is_changed", "seconds"), [(True, 20), (False, 20), (False, 0)])
@in_virtual_time
async def test_a_client_that_does_not_read_does_not_keep_the_app_from_ending(
    is_changed: bool, seconds: int
) -> None:
    """It lets the gateway wait with an event, with a heartbeat, or with the end itself."""
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        subscriber.is_reading.clear()
        if is_changed:
            api.projects = [project(pending=2)]
        await asyncio.sleep(seconds)
        gateway.streams.close()
        await asyncio.wait([subscriber.task], timeout=1)

        assert subscriber.task.done()
        assert len(gateway.streams) == 0
        assert dict(gateway.streams.ended) == {"shutdown": 1}


@in_virtual_time
async def test_a_client_that_does_not_read_keeps_its_stream_for_half_an_hour_at_most() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        subscriber.is_reading.clear()
        await asyncio.sleep(1_800)

        assert subscriber.task.done()
        assert dict(gateway.streams.ended) == {"time_limit": 1}
