"""Replays by the endpoint: a repeated request runs no operation while its page is fresh."""

import gc
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway import edge
from gallery_gateway.clock import Clock
from gallery_gateway.edge.request import KEYED_HEADERS
from gallery_gateway.gallery.caller import Caller
from tests.edge.sending import PREFLIGHTED
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway, page_body, project_body

TOTALS = "{ gallery { projects { projectName } } }"
TTL_SECONDS = 30


class Time:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def client(upstream: FakeUpstream, time: Time) -> AsyncIterator[Client]:
    clock = Clock(monotonic=time, wall=time)
    async with gateway(
        upstream, clock=clock, cache_ttl_seconds=TTL_SECONDS, stale_while_revalidate_seconds=0
    ) as client:
        yield client


def name_now(upstream: FakeUpstream, name: str) -> None:
    upstream.answer(json=page_body(project_body(7, project_name=name)))


def named(answer: Any) -> str:
    name: str = answer["data"]["gallery"]["projects"][0]["projectName"]
    return name


async def test_a_repeated_request_gets_the_same_bytes_each_time(
    client: Client, upstream: FakeUpstream
) -> None:
    answers = [await client.post(TOTALS) for _ in range(5)]

    assert len({answer.content for answer in answers}) == 1
    assert len(upstream.requests) == 1


async def test_a_replay_has_its_current_age_and_remaining_freshness(client: Client, time: Time) -> None:
    for _ in range(3):
        await client.post(TOTALS)
    time.passed = 12

    answer = await client.post(TOTALS)

    assert answer.headers["age"] == "12"
    assert answer.headers["cache-control"] == f"private, max-age={TTL_SECONDS}"


async def test_a_response_is_not_replayed_past_its_freshness(
    client: Client, upstream: FakeUpstream, time: Time
) -> None:
    for _ in range(3):
        await client.post(TOTALS)
    name_now(upstream, "new")
    time.passed = TTL_SECONDS

    assert named(await client.ask(TOTALS)) == "new"


async def test_a_response_is_not_replayed_once_its_page_was_fetched_again(
    client: Client, upstream: FakeUpstream
) -> None:
    for _ in range(3):
        await client.post(TOTALS)
    name_now(upstream, "new")
    await client.post(TOTALS, headers={"cache-control": "no-cache"})

    assert named(await client.ask(TOTALS)) == "new"


async def test_a_response_is_not_replayed_after_its_caller_was_refused(
    client: Client, upstream: FakeUpstream
) -> None:
    for _ in range(3):
        await client.post(TOTALS)
    upstream.answer(401)
    await client.post("{ gallery(page: 2) { projects { id } } }")

    answer = await client.ask(TOTALS)

    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_response_is_replayed_to_its_own_caller_only(client: Client, upstream: FakeUpstream) -> None:
    for _ in range(3):
        await client.post(TOTALS)
    name_now(upstream, "ben's")

    assert named(await client.ask(TOTALS, token=OTHER_TOKEN)) == "ben's"
    assert named(await client.ask(TOTALS)) == "Project 7"


async def test_a_replay_has_the_media_type_of_the_current_request(client: Client) -> None:
    for _ in range(3):
        await client.post(TOTALS)

    answer = await client.post(TOTALS, headers={"accept": "application/graphql-response+json"})

    assert answer.headers["content-type"].startswith("application/graphql-response+json")


async def test_a_body_gets_no_replay_of_an_equal_query_string(client: Client) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", **PREFLIGHTED}
    query_string = httpx.QueryParams(query=TOTALS)
    for _ in range(3):
        await client.http.get("/graphql", params=query_string, headers=headers)

    posted = await client.http.post(
        "/graphql", content=str(query_string), headers={**headers, "content-type": "application/json"}
    )

    assert posted.status_code == 400


async def test_no_token_outlives_its_operation(client: Client) -> None:
    for _ in range(3):
        await client.post(TOTALS)
    gc.collect()

    assert [found for found in gc.get_objects() if isinstance(found, Caller)] == []


# All that looks like the name of a header in the package, so that a header that someone reads is tried here.
NAMES_IN_SOURCE = {
    word
    for file in Path(edge.__file__).parent.glob("*.py")
    for text in re.findall(r'b"([a-z][a-z -]+)"', file.read_text())
    for word in text.split()
    if "-" in word or word in {"accept", "cookie", "forwarded", "via", "te", "origin", "age", "etag"}
}
OTHERS = """
accept-charset accept-language cookie date dnt forwarded from if-match if-modified-since if-range max-forwards
pragma prefer priority range referer sec-fetch-mode sec-fetch-site te traceparent tracestate user-agent via
x-api-key x-forwarded-for x-forwarded-host x-forwarded-proto x-http-method-override x-original-url x-real-ip
x-request-start
"""
# `X-Request-ID` and `If-None-Match` are heeded beside a replay; the others are of HTTP, and the server's.
HEEDED_BESIDE = {"content-length", "if-none-match", "transfer-encoding", "x-request-id"}
NOT_IN_KEY = (
    (NAMES_IN_SOURCE | set(OTHERS.split())) - {name.decode() for name in KEYED_HEADERS} - HEEDED_BESIDE
)
VALUES = ["", "1", "no-cache", "close", "application/json", "GET", "https://shop.example", "\x01"]


@pytest.mark.parametrize("name", sorted(NOT_IN_KEY))
async def test_a_header_that_is_not_in_the_key_changes_no_response(name: str, client: Client) -> None:
    document = "query Q($page: Int!) { gallery(page: $page) { projects { projectName } } }"
    expected = seen(await client.post(document, {"page": 1}))

    for page, value in enumerate(VALUES, start=2):
        # Another page each time, so that no replay hides a difference.
        response = await client.post(document, {"page": page}, headers={name: value})

        assert seen(response) == expected, value


def seen(response: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = [header for header in response.headers.items() if header[0] != "x-request-id"]
    return response.status_code, headers, response.content
