"""Pages past their freshness answer at once while they are renewed (RFC 5861, section 3)."""

import asyncio

import httpx

from tests.fakes import OTHER_TOKEN, Client, FakeUpstream, page_body
from tests.gallery.endpoints import ManualClock
from tests.gallery.stale.pages import (
    NAMES,
    RENEWING,
    TTL,
    kept_before,
    late,
    name_of,
    named,
    settled,
    stale_gateway,
    staleness,
)


async def test_a_page_past_its_freshness_answers_at_once_and_is_renewed(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 20)

    first = await client.ask(NAMES)
    await settled(upstream, requests=2)
    second = await client.ask(NAMES)

    assert (name_of(first), staleness(first)) == ("before", [("gallery", 120, "RENEWING")])
    assert (name_of(second), staleness(second)) == ("after", [])
    assert len(upstream.requests) == 2


async def test_a_fresh_answer_says_nothing_of_staleness(client: Client, clock: ManualClock) -> None:
    await client.ask(NAMES)
    clock.step(TTL - 1)

    assert "extensions" not in await client.ask(NAMES)


async def test_a_stale_answer_is_not_to_be_kept_by_clients(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 20.5)

    response = await client.post(NAMES)

    assert response.headers["cache-control"] == "private, max-age=0"
    assert response.headers["age"] == "120"


async def test_a_renewal_is_waited_for_once_its_time_is_over(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + RENEWING)

    answer = await client.ask(NAMES)

    assert (name_of(answer), staleness(answer)) == ("after", [])


async def test_many_who_find_a_page_stale_cost_one_renewal(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 1)

    answers = await asyncio.gather(*(client.ask(NAMES) for _ in range(30)))
    await settled(upstream, requests=2)

    assert {name_of(answer) for answer in answers} == {"before"}


async def test_a_renewal_outlives_the_client_that_began_it(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 1)
    answered = asyncio.Event()
    upstream.handler = late(answered, named("after"))
    await client.ask(NAMES)
    answered.set()
    await settled(upstream, requests=2)

    assert name_of(await client.ask(NAMES)) == "after"


async def test_a_renewal_is_made_with_the_etag(upstream: FakeUpstream, clock: ManualClock) -> None:
    async with stale_gateway(upstream, clock) as client:
        upstream.answer(json=named("before"), headers={"etag": '"a"'})
        await client.ask(NAMES)
        upstream.answer(304)
        clock.step(TTL + 1)
        await client.ask(NAMES)
        await settled(upstream, requests=2)

        answer = await client.ask(NAMES)

    assert (name_of(answer), staleness(answer)) == ("before", [])
    assert upstream.requests[1].headers["if-none-match"] == '"a"'


async def test_no_more_than_16_pages_of_a_caller_are_renewed_behind_answers(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    documents = [f"{{ gallery(page: {page}) {{ pagination {{ total }} }} }}" for page in range(1, 21)]
    for document in documents:
        await client.ask(document)
    clock.step(TTL + 1)
    answered = asyncio.Event()
    upstream.handler = late(answered, page_body())

    # One caller gets two thirds of the 20 places, so six calls wait at first; then the limit has doubled.
    for begun, requests in ((34, 40), (60, 60)):
        answered.clear()
        asking = [asyncio.create_task(client.ask(document)) for document in documents]
        await settled(upstream, requests=begun)
        answered.set()
        answers = await asyncio.gather(*asking)
        await settled(upstream, requests=requests)
        clock.step(TTL + 1)

        assert [bool(staleness(answer)) for answer in answers] == [True] * 16 + [False] * 4


async def test_one_callers_renewals_leave_room_for_anothers(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    documents = [f"{{ gallery(page: {page}) {{ pagination {{ total }} }} }}" for page in range(1, 21)]
    for document in documents:
        await client.ask(document)
    await client.ask(NAMES, token=OTHER_TOKEN)
    clock.step(TTL + 1)
    answered = asyncio.Event()
    upstream.handler = late(answered, page_body())
    asking = [asyncio.create_task(client.ask(document)) for document in documents]
    await settled(upstream, requests=35)

    other = await client.ask(NAMES, token=OTHER_TOKEN)

    assert staleness(other) == [("gallery", TTL + 1, "RENEWING")]
    answered.set()
    await asyncio.gather(*asking)


async def test_the_end_of_the_process_ends_renewals(upstream: FakeUpstream, clock: ManualClock) -> None:
    began = asyncio.Event()
    ended = asyncio.Event()

    async def endless(_request: httpx.Request) -> httpx.Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with stale_gateway(upstream, clock) as client:
        await kept_before(client, upstream)
        upstream.handler = endless
        clock.step(TTL + 1)
        await client.ask(NAMES)
        await began.wait()

    assert ended.is_set()


async def test_who_asks_past_the_cache_waits_for_a_renewal(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 1)

    answer = (await client.post(NAMES, headers={"cache-control": "no-cache"})).json()

    assert (name_of(answer), staleness(answer)) == ("after", [])
