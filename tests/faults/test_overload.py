"""Ten times the load that the API can take: its throughput stays, and no client waits long."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest

from gallery_gateway.clock import Clock
from gallery_gateway.upstream.limiter import LimiterRules
from gallery_gateway.upstream.resilience import ResilienceRules
from tests import virtual_time
from tests.fakes import Client, FakeUpstream, gateway, page_body

SLOTS = 4
CALL_SECONDS = 0.16
TIMES = 10
QUEUE_SECONDS = 0.5
SLOW_SECONDS = 3.0

RULES = ResilienceRules(
    limiter=LimiterRules(max_waiting=50, max_wait_seconds=QUEUE_SECONDS), slow_seconds=SLOW_SECONDS
)
SETTINGS = {"cache_ttl_seconds": 0, "log_level": "error"}


@dataclass(frozen=True, slots=True)
class Load:
    """The seconds of the answers and of the refusals, and from the first request to the last answer."""

    answered: list[float]
    refused: list[float]
    seconds: float


def limited_upstream() -> FakeUpstream:
    """An upstream with `SLOTS` requests at a time, each for `CALL_SECONDS`; the others wait."""
    upstream = FakeUpstream()
    slots = asyncio.Semaphore(SLOTS)

    async def handler(_request: httpx.Request) -> httpx.Response:
        async with slots:
            await asyncio.sleep(CALL_SECONDS)
        return httpx.Response(200, json=page_body())

    upstream.handler = handler
    return upstream


async def load(client: Client, *, per_second: float, seconds: float) -> Load:
    """Send requests at a constant rate, whether or not earlier ones are answered; each of another caller."""
    now = asyncio.get_running_loop().time
    began = now()
    answered: list[float] = []
    refused: list[float] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(number / per_second)
        asked = now()
        response = await client.post(
            "{ gallery { pagination { total } } }", token=f"made-up-token-of-{number}"
        )
        is_answered = response.status_code == 200 and "errors" not in response.json()
        refusal = response.status_code, response.headers.get("retry-after")
        assert is_answered or refusal == (503, "1"), response.text
        (answered if is_answered else refused).append(now() - asked)

    await asyncio.gather(*(ask(number) for number in range(int(per_second * seconds))))
    return Load(sorted(answered), sorted(refused), now() - began)


def test_ten_times_the_capacity_leaves_four_fifths_of_the_throughput_and_bounds_each_wait(
    request: pytest.FixtureRequest,
) -> None:
    capacity = SLOTS / CALL_SECONDS

    async def run() -> Load:
        clock = Clock(monotonic=asyncio.get_running_loop().time)
        async with gateway(limited_upstream(), clock=clock, rules=RULES, **SETTINGS) as client:
            seconds = request.config.getoption("--overload-seconds")
            return await load(client, per_second=TIMES * capacity, seconds=seconds)

    # In virtual time, so that a busy machine does not look like a slow upstream.
    seen = virtual_time.run(run)

    assert len(seen.answered) / seen.seconds >= 0.8 * capacity
    assert len(seen.refused) > len(seen.answered)
    p99 = seen.answered[int(0.99 * len(seen.answered))]
    assert p99 < QUEUE_SECONDS + 2 * SLOW_SECONDS
    assert seen.refused[-1] < QUEUE_SECONDS + CALL_SECONDS
