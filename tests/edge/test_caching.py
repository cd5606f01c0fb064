"""Caching headers of responses, and requests that bypass the cache."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.edge.sending import JSON, PREFLIGHTED
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway, page_body, project_body
from tests.gallery.endpoints import ManualClock, listing

DOCUMENT = "{ gallery { projects { projectName } } }"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with gateway(upstream, clock=clock.clock, stale_while_revalidate_seconds=0) as client:
        yield client


def named(name: str) -> dict[str, Any]:
    return page_body(project_body(7, project_name=name))


def remaining_seconds(response: httpx.Response) -> int:
    """As a client counts (RFC 9111, 4.2)."""
    scope, max_age = response.headers["cache-control"].split(", ")
    assert scope == "private"
    return int(max_age.removeprefix("max-age=")) - int(response.headers["age"])


async def get(client: Client, document: str = DOCUMENT, token: str = TOKEN, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.get(
        "/graphql",
        params={"query": document},
        headers={"accept": JSON, "authorization": f"Bearer {token}", **PREFLIGHTED, **sent},
    )


@pytest.mark.parametrize(("seconds", "remaining"), [(0, 30), (1, 29), (12.5, 17), (29.5, 0)])
async def test_max_age_less_age_is_what_remains(
    client: Client, clock: ManualClock, seconds: float, remaining: int
) -> None:
    await client.post(DOCUMENT)
    clock.step(seconds)

    response = await client.post(DOCUMENT)

    assert remaining_seconds(response) == remaining


async def test_age_is_that_of_the_page(client: Client, clock: ManualClock) -> None:
    await client.post(DOCUMENT)
    clock.step(12)

    response = await client.post(DOCUMENT)

    assert response.headers["age"] == "12"


async def test_age_goes_on_from_what_upstream_says(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(), headers={"age": "5", "cache-control": "max-age=25"})
    await client.post(DOCUMENT)
    clock.step(12)

    response = await client.post(DOCUMENT)

    assert response.headers["age"] == "17"
    assert remaining_seconds(response) == 8


async def test_an_answer_of_two_pages_lives_as_long_as_the_older_one(
    client: Client, clock: ManualClock
) -> None:
    await client.post(DOCUMENT)
    clock.step(12)

    response = await client.post(f"{{ new: gallery(page: 2) {{ pagination {{ total }} }} {DOCUMENT[1:]}")

    assert response.headers["age"] == "12"
    assert remaining_seconds(response) == 18


async def test_without_a_cache_clients_keep_nothing_either(upstream: FakeUpstream) -> None:
    async with gateway(upstream, cache_ttl_seconds=0) as client:
        response = await client.post(DOCUMENT)

    assert remaining_seconds(response) == 0


async def test_an_answer_of_no_page_is_not_kept(client: Client) -> None:
    response = await client.post("{ __typename }")

    assert response.headers["cache-control"] == "private, max-age=0"


ERRORS = {
    "upstream": DOCUMENT,
    "a part of it": "{ __typename gallery { projects { projectName } } }",
    "an argument": "{ gallery(page: 0) { projects { projectName } } }",
    "validation": "{ nothing }",
    "syntax": "{",
}


@pytest.mark.parametrize("document", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_answer_with_an_error_is_not_to_be_kept(
    client: Client, upstream: FakeUpstream, document: str, method: str
) -> None:
    upstream.answer(503)

    response = await (get(client, document) if method == "GET" else client.post(document))

    assert "errors" in response.json()
    assert response.headers["cache-control"] == "no-store"
    assert "age" not in response.headers
    assert "etag" not in response.headers


async def test_an_answer_depends_on_who_asks_and_what_is_accepted_and_reported(client: Client) -> None:
    responses = [await client.post(DOCUMENT), await get(client), await client.post("{")]

    assert {response.headers["vary"] for response in responses} == {
        "Authorization, Accept, Accept-Encoding, X-Gateway-Report"
    }


@pytest.mark.parametrize(
    "value",
    [
        "no-cache",
        "no-store",
        "max-age=0",
        "No-Cache",
        "max-stale=5, no-cache",
        'x="a, b",max-age="0"',
        "max-age=00",
    ],
)
async def test_a_client_may_ask_past_what_is_kept(
    client: Client, upstream: FakeUpstream, clock: ManualClock, value: str
) -> None:
    upstream.answer(json=named("before"))
    await client.post(DOCUMENT)
    clock.step(12)
    upstream.answer(json=named("after"))

    response = await client.post(DOCUMENT, headers={"cache-control": value})

    assert response.json()["data"]["gallery"]["projects"] == [{"projectName": "after"}]
    assert response.headers["age"] == "0"


@pytest.mark.parametrize(
    "value", ["max-age=60", "only-if-cached", "no-transform", "", 'x="no-cache, max-age=0"']
)
async def test_other_directives_of_a_client_change_nothing(
    client: Client, upstream: FakeUpstream, value: str
) -> None:
    await client.post(DOCUMENT)

    await client.post(DOCUMENT, headers={"cache-control": value})

    assert len(upstream.requests) == 1


async def test_what_came_past_the_cache_is_kept(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(json=named("before"))
    await client.post(DOCUMENT)
    upstream.answer(json=named("after"))
    await client.post(DOCUMENT, headers={"cache-control": "no-cache"})

    answer = await client.ask(DOCUMENT)

    assert answer["data"]["gallery"]["projects"] == [{"projectName": "after"}]
    assert len(upstream.requests) == 2


async def test_asking_past_the_cache_still_costs_one_request_for_one_page(
    client: Client, upstream: FakeUpstream
) -> None:
    document = "{ a: gallery { projects { id } } b: gallery { projects { images(first: 3) { id } } } }"

    await client.post(document, headers={"cache-control": "no-cache"})

    assert len(upstream.requests) == 1


async def test_asking_past_the_cache_of_a_project_asks_for_the_project(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.handler = listing(1, 2)
    await client.post(DOCUMENT)

    await client.post("{ project(projectId: 2) { id } }", headers={"cache-control": "no-cache"})

    assert len(upstream.requests) == 2


NO_CACHE = {"cache-control": "no-cache"}


async def test_requests_of_one_moment_past_the_cache_are_one_call(
    client: Client, upstream: FakeUpstream
) -> None:
    await client.post(DOCUMENT)
    upstream.answer(json=named("now"))

    responses = await asyncio.gather(*(client.post(DOCUMENT, headers=NO_CACHE) for _ in range(20)))

    answers = [response.json()["data"]["gallery"]["projects"] for response in responses]
    assert answers == [[{"projectName": "now"}]] * 20
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(("seconds", "calls"), [(0, 1), (0.5, 1), (1, 1), (1.01, 2), (12, 2)])
async def test_a_client_that_always_asks_past_the_cache_makes_a_call_a_second(
    client: Client, upstream: FakeUpstream, clock: ManualClock, seconds: float, calls: int
) -> None:
    await client.post(DOCUMENT, headers=NO_CACHE)
    clock.step(seconds)

    await client.post(DOCUMENT, headers=NO_CACHE)

    assert len(upstream.requests) == calls


async def test_a_second_of_steady_requests_past_the_cache_costs_one_call(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    for _ in range(41):
        await client.post(DOCUMENT, headers=NO_CACHE)
        clock.step(0.25)

    # An answer that came at the beginning of a second is not older than a second at its end.
    assert len(upstream.requests) == 9


async def test_what_another_caller_asked_past_the_cache_is_not_shared(
    client: Client, upstream: FakeUpstream
) -> None:
    await client.post(DOCUMENT, headers=NO_CACHE)

    await client.post(DOCUMENT, headers=NO_CACHE, token=OTHER_TOKEN)

    sent = [request.headers["authorization"] for request in upstream.requests]
    assert sent == [f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}"]


async def test_a_larger_page_past_the_cache_answers_a_smaller_one_of_the_same_moment(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.handler = listing(1, 2)
    await client.post("{ gallery { projects { images { id } } } }", headers=NO_CACHE)

    await client.post("{ gallery(perPage: 1) { projects { id } } }", headers=NO_CACHE)

    assert len(upstream.requests) == 1


async def test_an_error_past_the_cache_is_not_kept(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(500)
    await client.post(DOCUMENT, headers=NO_CACHE)
    upstream.answer(json=named("again"))

    response = await client.post(DOCUMENT, headers=NO_CACHE)

    assert response.json()["data"]["gallery"]["projects"] == [{"projectName": "again"}]


async def test_a_page_that_upstream_forbids_to_keep_answers_no_later_request(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(json=named("once"), headers={"cache-control": "no-store"})
    await client.post(DOCUMENT, headers=NO_CACHE)

    await client.post(DOCUMENT, headers=NO_CACHE)

    assert len(upstream.requests) == 2


class Turnstile(FakeUpstream):
    """Answers each request with its place in the row, when that place is let through."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.arrived = [asyncio.Event() for _ in range(places)]
        self.open = [asyncio.Event() for _ in range(places)]
        self.handler = self._pass
        self.body: dict[str, Any] | None = None

    async def fetched(self, place: int) -> None:
        """Raises: TimeoutError: nobody came."""
        async with asyncio.timeout(5):
            await self.arrived[place].wait()

    async def _pass(self, _request: httpx.Request) -> httpx.Response:
        place = len(self.requests) - 1
        self.arrived[place].set()
        await self.open[place].wait()
        return httpx.Response(200, json=self.body or named(f"answer {place}"))


async def test_asking_past_the_cache_does_not_join_what_was_under_way_before(clock: ManualClock) -> None:
    turnstile = Turnstile(2)
    async with gateway(turnstile, clock=clock.clock) as client:
        before = asyncio.create_task(client.ask(DOCUMENT))
        await turnstile.fetched(0)
        past = asyncio.create_task(client.post(DOCUMENT, headers={"cache-control": "no-cache"}))
        await turnstile.fetched(1)

        turnstile.open[1].set()
        response = await past
        turnstile.open[0].set()
        await before

    assert response.json()["data"]["gallery"]["projects"] == [{"projectName": "answer 1"}]


async def test_an_answer_from_before_does_not_replace_what_came_past_the_cache(clock: ManualClock) -> None:
    turnstile = Turnstile(3)
    async with gateway(turnstile, clock=clock.clock) as client:
        before = asyncio.create_task(client.ask(DOCUMENT))
        await turnstile.fetched(0)
        clock.step(1)
        past = asyncio.create_task(client.post(DOCUMENT, headers={"cache-control": "no-cache"}))
        await turnstile.fetched(1)
        turnstile.open[1].set()
        await past
        turnstile.open[0].set()
        await before

        answer = await client.ask(DOCUMENT)

    assert answer["data"]["gallery"]["projects"] == [{"projectName": "answer 1"}]
    assert len(turnstile.requests) == 2


@pytest.mark.parametrize(("seconds", "calls"), [(1, 1), (1.01, 2)])
async def test_asking_past_the_cache_joins_what_asked_so_within_a_second(
    clock: ManualClock, seconds: float, calls: int
) -> None:
    turnstile = Turnstile(2)
    async with gateway(turnstile, clock=clock.clock) as client:
        first = asyncio.create_task(client.post(DOCUMENT, headers=NO_CACHE))
        await turnstile.fetched(0)
        clock.step(seconds)
        second = asyncio.create_task(client.post(DOCUMENT, headers=NO_CACHE))
        for _ in range(50):
            await asyncio.sleep(0)

        turnstile.open[0].set()
        turnstile.open[1].set()
        await asyncio.gather(first, second)

    assert len(turnstile.requests) == calls


async def test_a_page_that_cannot_answer_another_request_past_the_cache_is_left_alone(
    clock: ManualClock,
) -> None:
    """A damaged page is not sliced; the other request makes a call of its own."""
    turnstile = Turnstile(2)
    turnstile.body = page_body({**project_body(7), "images": None})
    async with gateway(turnstile, clock=clock.clock) as client:
        larger = "{ gallery { projects { images { id } } } }"
        first = asyncio.create_task(client.post(larger, headers=NO_CACHE))
        await turnstile.fetched(0)
        second = asyncio.create_task(client.post(DOCUMENT, headers=NO_CACHE))
        for _ in range(50):
            await asyncio.sleep(0)
        turnstile.open[0].set()
        await first
        await turnstile.fetched(1)
        turnstile.open[1].set()

        response = await second

    assert response.json() == {"data": {"gallery": {"projects": [{"projectName": "Project 7"}]}}}


async def test_others_join_what_asks_past_the_cache(clock: ManualClock) -> None:
    turnstile = Turnstile(2)
    async with gateway(turnstile, clock=clock.clock) as client:
        past = asyncio.create_task(client.post(DOCUMENT, headers={"cache-control": "no-cache"}))
        await turnstile.fetched(0)
        plain = asyncio.create_task(client.ask(DOCUMENT))
        for _ in range(50):
            await asyncio.sleep(0)

        turnstile.open[0].set()
        await past
        answer = await plain

    assert answer["data"]["gallery"]["projects"] == [{"projectName": "answer 0"}]
    assert len(turnstile.requests) == 1


async def test_the_same_answer_has_the_same_etag(client: Client) -> None:
    first, second = await get(client), await get(client)

    assert first.headers["etag"] == second.headers["etag"]


async def test_a_report_does_not_change_the_etag(client: Client, clock: ManualClock) -> None:
    first = await get(client)
    clock.step(12)

    reported = await get(client, x_gateway_report="1")
    response = await get(client, if_none_match=reported.headers["etag"])

    assert reported.json()["extensions"].keys() == {"upstream"}
    assert reported.headers["etag"] == first.headers["etag"]
    assert response.status_code == 304


@pytest.mark.parametrize("report_always", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_response_with_a_report_that_was_asked_for_is_not_stored(
    upstream: FakeUpstream, method: str, report_always: bool
) -> None:
    async with gateway(upstream, report_always=report_always) as client:
        if method == "GET":
            response = await get(client, x_gateway_report="1")
        else:
            response = await client.post(DOCUMENT, headers={"x-gateway-report": "1"})

    assert response.json()["extensions"]["upstream"]["calls"] == 1
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert "age" not in response.headers


@pytest.mark.parametrize("report_always", [False, True])
@pytest.mark.parametrize("known", ["{etag}", "*"])
async def test_a_client_that_asks_for_a_report_gets_it_whatever_it_has(
    upstream: FakeUpstream, known: str, report_always: bool
) -> None:
    async with gateway(upstream, report_always=report_always) as client:
        first = await get(client)

        response = await get(
            client, x_gateway_report="1", if_none_match=known.format(etag=first.headers["etag"])
        )

    assert response.status_code == 200
    assert response.json()["extensions"]["upstream"]["hits"] == 1


async def test_the_age_of_a_stale_answer_does_not_change_the_etag(
    upstream: FakeUpstream, clock: ManualClock
) -> None:
    async with gateway(upstream, clock=clock.clock, stale_if_error_seconds=600) as client:
        fresh = await get(client)
        upstream.answer(503)
        clock.step(40)
        stale = await get(client)
        clock.step(40)

        older = await get(client)

    assert fresh.headers["etag"] == stale.headers["etag"] == older.headers["etag"]
    assert stale.json()["extensions"] != older.json()["extensions"]


async def test_the_demo_answers_304(upstream: FakeUpstream) -> None:
    # As `gallery-gateway demo` sets it.
    async with gateway(upstream, report_always=True) as client:
        first, second = await get(client), await get(client)

        response = await get(client, if_none_match=first.headers["etag"])

    assert first.json()["extensions"] != second.json()["extensions"]
    assert response.status_code == 304


KNOWN = [
    "{etag}",
    "W/{etag}",
    "{opaque}",
    '"other", {etag}',
    '"other",W/{etag}',
    '"a,b",{opaque}',
    "*",
    "  {etag}  ",
]


@pytest.mark.parametrize("known", KNOWN)
async def test_a_client_that_has_the_answer_gets_304_without_a_body(client: Client, known: str) -> None:
    first = await get(client)

    etag = first.headers["etag"]
    response = await get(client, if_none_match=known.format(etag=etag, opaque=etag.removeprefix("W/")))

    assert response.status_code == 304
    assert response.content == b""
    assert {name for name in response.headers if name.startswith("content-")} == set()


async def test_a_304_says_what_the_answer_itself_would(client: Client, clock: ManualClock) -> None:
    first = await get(client)
    clock.step(12)

    response = await get(client, if_none_match=first.headers["etag"])

    assert response.headers["etag"] == first.headers["etag"]
    assert response.headers["vary"] == first.headers["vary"]
    assert response.headers["age"] == "12"
    assert remaining_seconds(response) == 18


async def test_a_changed_answer_is_sent_whole(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    first = await get(client)
    clock.step(30)
    upstream.answer(json=named("after"))

    response = await get(client, if_none_match=first.headers["etag"])

    assert response.status_code == 200
    assert response.json()["data"]["gallery"]["projects"] == [{"projectName": "after"}]
    assert response.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("known", ['"other"', "", 'W/"other"', '"*"', "unquoted"])
async def test_a_client_that_has_something_else_gets_the_answer(client: Client, known: str) -> None:
    await get(client)

    response = await get(client, if_none_match=known)

    assert response.status_code == 200
    assert response.json()["data"]["gallery"]


async def test_a_304_is_for_those_who_may_see_the_answer(client: Client, upstream: FakeUpstream) -> None:
    first = await get(client)
    upstream.answer(403)

    response = await get(client, token=OTHER_TOKEN, if_none_match=first.headers["etag"])

    assert response.status_code == 200
    assert response.json()["data"] == {"gallery": None}


async def test_a_post_is_never_answered_with_304(client: Client) -> None:
    first = await get(client)

    response = await client.post(DOCUMENT, headers={"if-none-match": first.headers["etag"]})

    assert response.status_code == 200
    assert response.json()["data"]["gallery"]


async def test_asking_past_the_cache_and_for_a_change_is_one_request(
    client: Client, upstream: FakeUpstream
) -> None:
    first = await get(client)

    response = await get(client, if_none_match=first.headers["etag"], cache_control="no-cache")

    assert response.status_code == 304
    assert len(upstream.requests) == 2
