"""Over real sockets: passing faults are retried, permanent ones are not, and rate limits hold."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gallery_gateway.upstream.breaker import BreakerRules
from gallery_gateway.upstream.resilience import ResilienceRules
from gallery_gateway.upstream.retries import RetryRules
from gallery_gateway.upstream.transport import Pool
from tests.edge.sending import codes
from tests.fakes import OTHER_TOKEN, Client, gateway
from tests.faults.endpoint import GOOD, FaultyEndpoint, faulty_endpoint

TOTAL = "{ gallery { pagination { total } } }"
WHOLE = {"data": {"gallery": {"pagination": {"total": 2}}}}

FAST_RETRIES = ResilienceRules(retries=RetryRules(first_wait_seconds=0.01))


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultyEndpoint]:
    async with faulty_endpoint() as endpoint:
        yield endpoint


def opened(endpoint: FaultyEndpoint, **settings: Any) -> Any:
    chosen = {"upstream_max_attempts": 3, "rules": FAST_RETRIES, **settings}
    transport = Pool(endpoint.url, max_connections=5, max_bytes=1_000_000)
    return gateway(transport, upstream_url=endpoint.url, **chosen)


@pytest.fixture
async def client(endpoint: FaultyEndpoint) -> AsyncIterator[Client]:
    async with opened(endpoint) as client:
        yield client


@pytest.mark.parametrize(
    "fault",
    [
        "reset-at-once",
        "reset-after-headers",
        "reset-half-way",
        "closed-at-once",
        "truncated",
        "truncated-chunked",
        "429",
        "502",
        "503",
        "504",
    ],
)
async def test_a_passing_fault_is_retried(endpoint: FaultyEndpoint, client: Client, fault: str) -> None:
    endpoint.then(fault, fault, GOOD)

    assert await client.ask(TOTAL) == WHOLE
    assert endpoint.answered == {fault: 2, GOOD: 1}


@pytest.mark.parametrize("fault", ["500", "401", "404", "html", "cut-json", "no-http", "truncated-gzip"])
async def test_a_permanent_fault_is_not_retried(endpoint: FaultyEndpoint, client: Client, fault: str) -> None:
    endpoint.then(fault)

    answer = await client.ask(TOTAL)

    assert answer["data"] == {"gallery": None}
    assert endpoint.answered == {fault: 1}


async def test_an_api_that_recovers_in_time_is_found(endpoint: FaultyEndpoint) -> None:
    await endpoint.inject("refused")
    # So that there is time to come back between two attempts.
    async with opened(endpoint, upstream_max_attempts=10) as client:
        asking = asyncio.create_task(client.ask(TOTAL))
        await asyncio.sleep(0.05)
        await endpoint.heal()

        assert await asking == WHOLE


async def test_a_short_retry_after_is_waited_for(endpoint: FaultyEndpoint, client: Client) -> None:
    endpoint.then("429-retry-after", GOOD)
    started = asyncio.get_running_loop().time()

    assert await client.ask(TOTAL) == WHOLE
    assert asyncio.get_running_loop().time() - started >= 0.99


async def test_a_rate_limit_holds_for_its_caller_alone(endpoint: FaultyEndpoint) -> None:
    endpoint.then("429-retry-after")
    async with opened(endpoint, rules=ResilienceRules(retries=RetryRules(max_wait_seconds=0))) as client:
        await client.ask(TOTAL)

        again = await client.post(TOTAL)

        assert codes(again) == ["RATE_LIMITED"]
        assert again.json()["errors"][0]["extensions"]["retryAfter"] == 1
        assert endpoint.answered == {"429-retry-after": 1}
        assert await client.ask(TOTAL, token=OTHER_TOKEN) == WHOLE


async def test_an_api_that_is_down_gets_no_more_calls(endpoint: FaultyEndpoint) -> None:
    await endpoint.inject("500")
    async with opened(endpoint, rules=ResilienceRules(breaker=BreakerRules(min_calls=5))) as client:
        for _ in range(5):
            await client.ask(TOTAL)

        left_alone = await client.post(TOTAL)

    assert codes(left_alone) == ["UPSTREAM_UNAVAILABLE"]
    assert endpoint.answered == {"500": 5}


async def test_unknown_enum_values_are_passed_on(endpoint: FaultyEndpoint, client: Client) -> None:
    endpoint.then("unknown-enum")

    answer = await client.ask("{ gallery { projects { images(first: 1) { status feedback } } } }")

    image = answer["data"]["gallery"]["projects"][0]["images"][0]
    assert image == {"status": "vitrified", "feedback": "shrug"}
