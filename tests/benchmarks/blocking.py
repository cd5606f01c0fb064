"""The time for which the largest response blocks the event loop: 100 projects of 200 images."""

import asyncio
import statistics
import time

import httpx

from tests.benchmarks.pages import page_json
from tests.benchmarks.queries import EVERYTHING
from tests.fakes import gateway

_RUNS = 3


async def longest_blocking_seconds(*, projects: int, images: int) -> float:
    """Return the longest time between two iterations of the loop during such a response; median of three."""
    body = page_json(projects=projects, images=images)
    document = f"{{ gallery(perPage: {projects}, maxImagesPerProject: {images}) {{ {EVERYTHING} }} }}"
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    longest = []
    async with gateway(transport, log_level="warning") as client:
        for run in range(_RUNS):
            is_answered = asyncio.Event()
            ticker = asyncio.create_task(_longest_gap_seconds(is_answered))
            # The ticks start before the request.
            await asyncio.sleep(0)
            response = await client.post(document, token=f"blocking-{run}")
            is_answered.set()
            longest.append(await ticker)
            assert response.content.startswith(b'{"data":{"gallery":{"pagination"'), response.content[:500]
    return statistics.median(longest)


async def _longest_gap_seconds(is_answered: asyncio.Event) -> float:
    longest, last = 0.0, time.perf_counter()
    while not is_answered.is_set():
        # Polled instead of awaited, because the iterations of the loop are timed.
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest
