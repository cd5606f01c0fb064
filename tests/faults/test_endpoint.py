"""The fault-injecting API injects the given faults and nothing else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.catalogue import FAULTS, NAMES
from tests.faults.endpoint import GOOD, Capacity, FaultyEndpoint, faulty_endpoint, one_page

REQUEST = b"GET /gallery/by-project?page=1 HTTP/1.1\r\nHost: gallery\r\n\r\n"


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultyEndpoint]:
    async with faulty_endpoint() as endpoint:
        yield endpoint


async def status_of(endpoint: FaultyEndpoint) -> bytes:
    """The status line of an answer on a connection of its own; empty if the connection ends before it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.server.port)
    writer.write(REQUEST)
    try:
        return (await reader.readline()).strip()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_there_are_at_least_25_faults() -> None:
    assert len(NAMES) >= 25
    assert {"reset-half-way", "gzip-bomb", "429-retry-after", "503"} <= set(NAMES)


async def test_it_answers_correctly_without_a_fault(endpoint: FaultyEndpoint) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.server.port)
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.split(b"Content-Length: ")[1].split()[0]))
    writer.close()

    assert json.loads(body) == one_page({})
    assert endpoint.answered == {GOOD: 1}


@pytest.mark.parametrize(
    ("fault", "begins"),
    [("503", b"HTTP/1.1 503"), ("no-http", b"220 "), ("reset-at-once", b""), ("not-json", b"HTTP/1.1 200")],
)
async def test_a_fault_is_injected_by_its_name(endpoint: FaultyEndpoint, fault: str, begins: bytes) -> None:
    await endpoint.inject(fault)

    answered = await status_of(endpoint)

    assert answered.startswith(begins)
    assert bool(answered) == bool(begins)
    assert endpoint.answered == {fault: 1}


async def test_a_rate_is_a_share_of_the_requests_and_the_same_each_time() -> None:
    counts = []
    for _ in range(2):
        async with faulty_endpoint() as endpoint:
            await endpoint.mix({"503": 0.2, "404": 0.1})
            for _ in range(100):
                await status_of(endpoint)
            counts.append(endpoint.answered)

    assert counts[0] == counts[1]
    assert 10 <= counts[0]["503"] <= 30
    assert 3 <= counts[0]["404"] <= 20


async def test_faults_can_be_set_request_by_request(endpoint: FaultyEndpoint) -> None:
    endpoint.then("503", GOOD, "404")

    answers = [await status_of(endpoint) for _ in range(4)]

    assert [answer[9:12] for answer in answers] == [b"503", b"200", b"404", b"200"]


async def test_it_refuses_connections_and_comes_back_at_the_same_address(endpoint: FaultyEndpoint) -> None:
    url = endpoint.url
    await endpoint.inject("refused")

    with pytest.raises(ConnectionRefusedError):
        await status_of(endpoint)
    await endpoint.heal()

    assert (await status_of(endpoint)).startswith(b"HTTP/1.1 200")
    assert endpoint.url == url


async def test_it_can_be_out_of_reach_and_come_back(endpoint: FaultyEndpoint) -> None:
    await endpoint.inject("unreachable")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(status_of(endpoint), 0.3)
    await endpoint.heal()

    assert (await status_of(endpoint)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("rates", [{"unheard-of": 0.1}, {"503": 0.6, "404": 0.6}, {"refused": 0.5}])
async def test_an_invalid_mix_of_faults_is_refused(endpoint: FaultyEndpoint, rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not a mix"):
        await endpoint.mix(rates)


async def test_a_capacity_makes_the_others_wait() -> None:
    async with faulty_endpoint(capacity=Capacity(slots=2, seconds=0.05)) as endpoint:
        started = time.monotonic()
        await asyncio.gather(*(status_of(endpoint) for _ in range(6)))

    assert time.monotonic() - started >= 0.15


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_outlives_the_request_that_it_was_for(endpoint: FaultyEndpoint, fault: str) -> None:
    endpoint.then(fault)
    _, writer = await asyncio.open_connection("127.0.0.1", endpoint.server.port)
    writer.write(REQUEST)
    await endpoint.server.wait_for_requests(1)
    writer.close()

    assert (await status_of(endpoint)).startswith(b"HTTP/1.1 200")
    assert endpoint.answered == {fault: 1, GOOD: 1}
