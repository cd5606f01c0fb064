"""Ten times as much as the endpoint can do: it goes on doing what it can, and nobody waits for long."""

import asyncio
import time
from dataclasses import dataclass

import aiohttp
import pytest

from tests.faults.endpoint import Capacity, FaultyEndpoint, faulty_endpoint
from tests.faults.serving import served_gateway

CAPACITY = Capacity(slots=4, seconds=0.16)
TIMES = 10
QUEUE_SECONDS = 0.5
# Many times what a call takes, so that a busy machine does not look like a slow endpoint.
SLOW_SECONDS = 3.0

# What everything else takes on a busy machine.
PATIENCE_SECONDS = 4.0

SETTINGS = {
    "upstream_queue_timeout_seconds": QUEUE_SECONDS,
    "upstream_queue_max_calls": 50,
    "upstream_slow_seconds": SLOW_SECONDS,
    "cache_ttl_seconds": 0,
}


@dataclass(frozen=True, slots=True)
class Load:
    """The seconds of the answers and of the refusals, and from the first request to the last answer."""

    answered: list[float]
    refused: list[float]
    seconds: float


async def load(client: aiohttp.ClientSession, url: str, *, per_second: float, seconds: float) -> Load:
    """Requests at their times, whatever becomes of those before; each of another caller."""
    began = time.monotonic()
    answered: list[float] = []
    refused: list[float] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(began + number / per_second - time.monotonic())
        asked = time.monotonic()
        async with client.post(
            f"{url}/graphql",
            json={"query": "{ gallery { pagination { total } } }"},
            headers={"authorization": f"Bearer made-up-{number}"},
        ) as response:
            is_answered = response.status == 200 and "errors" not in await response.json()
            refusal = response.status, response.headers.get("retry-after")
            assert is_answered or refusal == (503, "1"), await response.text()
        (answered if is_answered else refused).append(time.monotonic() - asked)

    await asyncio.gather(*(ask(number) for number in range(int(per_second * seconds))))
    return Load(sorted(answered), sorted(refused), time.monotonic() - began)


def capacity_of(endpoint: FaultyEndpoint) -> float:
    """Answers in a second that it could have given, at the pace at which this machine let it work."""
    return CAPACITY.slots / (endpoint.served_seconds / endpoint.answered.total())


async def test_under_ten_times_its_capacity_it_does_four_fifths_of_it_and_nobody_waits_for_long(
    request: pytest.FixtureRequest,
) -> None:
    seconds = request.config.getoption("--overload-seconds")
    async with faulty_endpoint(capacity=CAPACITY) as endpoint:
        with served_gateway(endpoint.url, **SETTINGS) as url:
            # httpx's pool takes time that grows with the square of its connections.
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
                per_second = TIMES * CAPACITY.per_second
                seen = await load(client, url, per_second=per_second, seconds=seconds)

    assert len(seen.answered) / seen.seconds >= 0.8 * capacity_of(endpoint)
    assert len(seen.refused) > len(seen.answered)
    p99 = seen.answered[int(0.99 * len(seen.answered))]
    assert p99 < QUEUE_SECONDS + 2 * SLOW_SECONDS + PATIENCE_SECONDS
    assert seen.refused[-1] < QUEUE_SECONDS + PATIENCE_SECONDS
