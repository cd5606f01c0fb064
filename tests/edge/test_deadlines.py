"""The timeouts of the client and of the operation, and waiters that wait longer for the same call."""

import asyncio

import httpx
import pytest

from gallery_gateway.edge.request import HTTPRequest
from tests.edge.sending import codes
from tests.fakes import Client, FakeUpstream, gateway, page_body

TOTAL = "{ gallery { pagination { total } } }"


class Held:
    """An endpoint that answers when it is let go on."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        upstream.handler = self.answer

    async def answer(self, _request: httpx.Request) -> httpx.Response:
        self.asked.set()
        await self.release.wait()
        return httpx.Response(200, json=page_body())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, float("inf")),
        ({"x-request-timeout": "1.5"}, 1.5),
        ({"x-envoy-expected-rq-timeout-ms": "250"}, 0.25),
        ({"x-envoy-expected-rq-timeout-ms": "250", "x-request-timeout": "0.1"}, 0.1),
        ({"x-envoy-expected-rq-timeout-ms": "0"}, float("inf")),
        ({"x-request-timeout": "0"}, float("inf")),
        ({"x-request-timeout": "-1"}, float("inf")),
        ({"x-request-timeout": "soon"}, float("inf")),
        ({"x-request-timeout": "1e3"}, float("inf")),
        ({"x-request-timeout": "9" * 400}, float("inf")),
    ],
)
def test_the_shortest_timeout_of_the_client_counts(headers: dict[str, str], seconds: float) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]

    request = HTTPRequest({"method": "POST", "query_string": b"", "headers": raw})

    assert request.timeout_seconds == seconds


@pytest.mark.parametrize("headers", [{"x-request-timeout": "0.05"}, {"x-envoy-expected-rq-timeout-ms": "50"}])
async def test_a_client_gets_a_response_within_its_own_timeout(
    client: Client, upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    Held(upstream)

    async with asyncio.timeout(10):
        response = await client.post(TOTAL, headers=headers)

    assert response.status_code == 200
    assert response.json()["data"] == {"gallery": None}
    assert codes(response) == ["UPSTREAM_TIMEOUT"]


async def test_an_operation_has_a_deadline_of_its_own(upstream: FakeUpstream) -> None:
    Held(upstream)

    async with gateway(upstream, operation_timeout_seconds=0.05) as client, asyncio.timeout(10):
        response = await client.post(TOTAL, headers={"x-request-timeout": "60"})

    assert codes(response) == ["UPSTREAM_TIMEOUT"]


async def test_who_waits_for_the_same_call_for_longer_gets_it(client: Client, upstream: FakeUpstream) -> None:
    held = Held(upstream)
    hasty = asyncio.create_task(client.post(TOTAL, headers={"x-request-timeout": "0.3"}))
    await held.asked.wait()
    patient = asyncio.create_task(client.post(TOTAL))

    response = await hasty
    held.release.set()

    assert codes(response) == ["UPSTREAM_TIMEOUT"]
    assert (await patient).json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
    assert len(upstream.requests) == 1


async def test_who_joins_with_a_short_deadline_gives_up_alone(client: Client, upstream: FakeUpstream) -> None:
    held = Held(upstream)
    patient = asyncio.create_task(client.post(TOTAL))
    await held.asked.wait()

    response = await client.post(TOTAL, headers={"x-request-timeout": "0.05"})
    held.release.set()

    assert codes(response) == ["UPSTREAM_TIMEOUT"]
    assert (await patient).json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
    assert len(upstream.requests) == 1


async def test_a_call_without_waiters_is_cancelled(upstream: FakeUpstream) -> None:
    given_up = asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    upstream.handler = never

    async with gateway(upstream) as client, asyncio.timeout(10):
        await client.post(TOTAL, headers={"x-request-timeout": "0.05"})
        await given_up.wait()


async def test_an_answer_that_is_there_needs_no_time(client: Client, upstream: FakeUpstream) -> None:
    await client.ask(TOTAL)
    Held(upstream)

    response = await client.post(TOTAL + " ", headers={"x-request-timeout": "0.000000001"})

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
