"""Several gateways with one Redis: what one fetches answers in the others, and only its own caller."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from gallery_gateway.app import create_app
from gallery_gateway.clock import Clock
from gallery_gateway.settings import Settings, SettingsError
from gallery_gateway.shared.pages import PURGES
from gallery_gateway.shared.sealing import PageSeal
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, Handler, gateway, page_body, project_body
from tests.gallery.endpoints import ManualClock
from tests.shared.servers import RedisServer, needs_redis
from tests.shared.stores import patient

pytestmark = needs_redis

SECRET = "a-made-up-secret-of-32-characters"
TOTAL = "{ gallery { pagination { total } } }"
PROJECTS = "{ gallery { projects { projectId } } }"
REPORT = {"x-gateway-report": "1"}
BYPASS = {"cache-control": "no-cache"}


@asynccontextmanager
async def gateways(
    redis: RedisServer, upstream: FakeUpstream, count: int = 2, **settings: Any
) -> AsyncIterator[list[Client]]:
    chosen = {
        "caller_key_secret": SECRET,
        "shared_cache_url": patient(redis.url, 5),
        **settings,
    }
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(gateway(upstream, **chosen)) for _ in range(count)]


async def stored(redis: RedisServer) -> None:
    """Waits until a page is stored, which happens after it has answered."""
    async with asyncio.timeout(20), redis.client() as client:
        while not [key async for key in client.scan_iter(match="*:page:*")]:  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.005)


def held(asked: asyncio.Event, may_answer: asyncio.Event, body: dict[str, Any]) -> Handler:
    """An answer that says when it is asked for, and waits."""

    async def handler(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await may_answer.wait()
        return httpx.Response(200, json=body)

    return handler


async def test_a_page_that_one_has_fetched_answers_in_the_others(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream) as (one, other):
        fetched = await one.ask(TOTAL)
        await stored(redis)

        answer = (await other.post(TOTAL, headers=REPORT)).json()

    assert answer["data"] == fetched["data"]
    assert len(upstream.requests) == 1
    report = answer["extensions"]["upstream"]
    assert (report["calls"], report["hits"], report["bytes"]) == (0, 1, 0)


@pytest.mark.parametrize("warmed_up", [(), (0,), (1,)])
async def test_a_page_of_another_size_than_requested_is_fetched_once_for_all(
    redis: RedisServer, upstream: FakeUpstream, warmed_up: tuple[int, ...]
) -> None:
    upstream.answer(json=page_body(project_body(7), per_page=1, total=9, pages=9, has_next=True))
    async with gateways(redis, upstream) as both:
        for number in warmed_up:
            # A gateway that has seen such a page loads others by another request.
            await both[number].ask("{ gallery(page: 2) { pagination { total } } }")
        before = len(upstream.requests)
        answers = [await both[0].ask(TOTAL)]
        async with asyncio.timeout(20), redis.client() as client:
            while [key async for key in client.scan_iter(match="*:lock:*")]:  # noqa: ASYNC110  # as `stored`
                await asyncio.sleep(0.005)

        answers += [await both[number].ask(TOTAL) for number in (1, 1, 0, 1)]

    assert answers == [answers[0]] * 5
    assert "errors" not in answers[0]
    assert len(upstream.requests) - before == 1


async def test_a_page_answers_its_own_caller_only(redis: RedisServer, upstream: FakeUpstream) -> None:
    async with gateways(redis, upstream) as (one, other):
        await one.ask(TOTAL, token=TOKEN)
        await stored(redis)

        await other.ask(TOTAL, token=OTHER_TOKEN)

    sent = [request.headers["authorization"] for request in upstream.requests]
    assert sent == [f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}"]


async def test_gateways_of_different_secrets_share_nothing(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with (
        gateways(redis, upstream, 1) as (one,),
        gateways(redis, upstream, 1, caller_key_secret=SECRET[::-1]) as (other,),
    ):
        await one.ask(TOTAL)
        await stored(redis)

        await other.ask(TOTAL)

    assert len(upstream.requests) == 2


async def test_identical_operations_in_all_gateways_cost_one_call(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()
    upstream.handler = held(asked, may_answer, page_body())
    async with gateways(redis, upstream, 4) as clients:
        asking = [asyncio.create_task(client.ask(TOTAL)) for client in clients for _ in range(5)]
        await asked.wait()
        may_answer.set()
        answers = await asyncio.gather(*asking)

    assert answers == [answers[0]] * 20
    assert "errors" not in answers[0]
    assert len(upstream.requests) == 1


async def test_a_page_that_a_dead_process_was_to_fetch_is_fetched_by_another(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream, 1) as (one,), redis.client() as client:
        await one.ask(TOTAL)
        await stored(redis)
        (page,) = [key async for key in client.scan_iter(match="*:page:*")]
        await client.rename(page, page.replace(b":page:", b":lock:"))
        async with gateways(redis, upstream, 1) as (other,):
            waiting = asyncio.create_task(other.ask(TOTAL))
            await asyncio.wait({waiting}, timeout=0.05)
            assert not waiting.done()

            await client.pexpire(page.replace(b":page:", b":lock:"), 1)
            answer = await waiting

    assert "errors" not in answer
    assert len(upstream.requests) == 2


async def test_an_error_is_not_shared_and_lets_the_others_try(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream) as (one, other):
        upstream.answer(404)
        assert "errors" in await one.ask(TOTAL)
        upstream.answer(json=page_body())

        assert "errors" not in await other.ask(TOTAL)


async def test_what_a_404_stands_for_is_not_stored(redis: RedisServer, upstream: FakeUpstream) -> None:
    upstream.answer(404)
    async with gateways(redis, upstream, 1) as (one,):
        assert await one.ask("{ project(projectId: 9) { id } }") == {"data": {"project": None}}

    # It has given what it had to give before it ended.
    async with redis.client() as client:
        assert not [key async for key in client.scan_iter(match="*:page:*")]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_purges_the_callers_pages_in_all_gateways(
    redis: RedisServer, upstream: FakeUpstream, status: int
) -> None:
    async with gateways(redis, upstream, 3) as (one, other, third):
        await one.ask(TOTAL)
        await stored(redis)
        await other.ask(TOTAL)
        upstream.answer(status)

        assert "errors" in await one.ask("{ gallery(page: 2) { pagination { total } } }")

        async with asyncio.timeout(20):
            while "errors" not in await other.ask(TOTAL):  # noqa: ASYNC110  # the message crosses Redis
                await asyncio.sleep(0.005)
        assert "errors" in await third.ask(TOTAL)


async def test_bypassing_the_cache_reads_past_the_shared_one_and_replaces_it(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream, 1) as (one,):
        await one.ask(PROJECTS)
        await stored(redis)
        upstream.answer(json=page_body(project_body(8)))

        bypassed = (await one.post(PROJECTS, headers=BYPASS)).json()
    # It has given what it had to give before it ended.
    async with gateways(redis, upstream, 1) as (other,):
        shared = await other.ask(PROJECTS)

    assert bypassed["data"]["gallery"]["projects"] == [{"projectId": 8}]
    assert shared == bypassed
    assert len(upstream.requests) == 2


async def test_bypassing_the_cache_does_not_take_a_page_that_another_process_fetches_already(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()
    upstream.handler = held(asked, may_answer, page_body(project_body(7)))
    async with gateways(redis, upstream) as (one, other):
        earlier = asyncio.create_task(one.ask(PROJECTS))
        await asked.wait()
        upstream.answer(json=page_body(project_body(8)))
        later = asyncio.create_task(other.post(PROJECTS, headers=BYPASS))
        await asyncio.wait({later}, timeout=5)
        may_answer.set()
        answers = await earlier, (await later).json()

    projects = [answer["data"]["gallery"]["projects"] for answer in answers]
    assert projects == [[{"projectId": 7}], [{"projectId": 8}]]


async def test_a_shared_page_keeps_its_age(redis: RedisServer, upstream: FakeUpstream) -> None:
    clock = ManualClock()
    async with gateways(redis, upstream, clock=clock.clock) as (one, other):
        await one.ask(TOTAL)
        await stored(redis)
        clock.step(10)

        response = await other.post(TOTAL)

    assert response.headers["age"] == "10"
    assert response.headers["cache-control"] == "private, max-age=30"
    assert len(upstream.requests) == 1


async def test_a_clock_that_is_behind_does_not_make_a_shared_page_last_longer(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    clock = ManualClock()
    behind = Clock(clock.clock.monotonic, lambda: clock.wall - 3_600)
    async with (
        gateways(redis, upstream, 1, clock=clock.clock) as (one,),
        gateways(redis, upstream, 1, clock=behind) as (other,),
    ):
        await one.ask(TOTAL)
        await stored(redis)

        response = await other.post(TOTAL)

    assert response.headers["cache-control"] == "private, max-age=30"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "changes", [{"rules": {"age_seconds": "soon"}}, {"body": b"{}"}, {"body": b"no JSON"}]
)
async def test_a_page_that_another_version_stored_is_fetched_where_it_cannot_be_read(
    redis: RedisServer, upstream: FakeUpstream, changes: dict[str, Any]
) -> None:
    seal = PageSeal(SECRET.encode(), max_bytes=1_000_000)
    async with gateways(redis, upstream) as (one, other), redis.client() as client:
        fetched = await one.ask(TOTAL)
        await stored(redis)
        (key,) = [key async for key in client.scan_iter(match="*:page:*")]
        value = await client.get(key)
        assert isinstance(value, bytes)
        generation, _, sealed = value.partition(b":")
        page = seal.open(sealed, key)
        assert page is not None
        changed = seal.seal(msgspec.structs.replace(page, **changes), key)
        await client.set(key, generation + b":" + changed)

        assert await other.ask(TOTAL) == fetched

    assert len(upstream.requests) == 2


async def test_without_redis_each_gateway_is_as_good_as_alone_and_says_so(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream, shared_cache_url=redis.url) as (one, other):
        before = await one.http.get("/readyz")
        await redis.kill()

        answers = [await client.ask(TOTAL) for client in (one, other)]
        again = await one.ask(TOTAL)
        ready = await one.http.get("/readyz")

    assert before.json() == {"status": "ready", "sharedCache": "available"}
    assert answers == [again, again]
    assert "errors" not in again
    assert len(upstream.requests) == 2
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "sharedCache": "unavailable"}


async def test_a_gateway_finds_redis_again(redis: RedisServer, upstream: FakeUpstream) -> None:
    async with gateways(redis, upstream, 1) as (one,):
        await redis.kill()
        await one.ask(TOTAL)
        await redis.start()

        async with asyncio.timeout(20):
            while (await one.http.get("/readyz")).json()["sharedCache"] != "available":
                await one.post(TOTAL, headers=BYPASS)


async def test_nothing_in_redis_can_be_read(redis: RedisServer, upstream: FakeUpstream) -> None:
    upstream.answer(json=page_body(project_body(7, project_name="made-up-secret-dress")))
    async with gateways(redis, upstream, 1) as (one,), redis.client() as client:
        await one.ask("{ gallery { projects { projectName } } }")
        await stored(redis)

        kept = [(key, await client.dump(key)) for key in await client.keys()]

    assert kept
    assert b"dress" not in repr(kept).encode()
    assert TOKEN.encode() not in repr(kept).encode()


async def test_a_gateway_hears_purges_before_it_has_asked_for_anything(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream), redis.client() as client:
        assert await client.pubsub_numsub(PURGES) == [(PURGES, 2)]


def test_a_url_that_cannot_be_parsed_stops_the_start_and_is_not_shown(upstream: FakeUpstream) -> None:
    settings = Settings.read(
        _env_file=None, caller_key_secret=SECRET, shared_cache_url="redis://:made-up@cache:port/0"
    )

    with pytest.raises(SettingsError) as caught:
        create_app(settings, transport=upstream)

    assert str(caught.value).startswith("GALLERY_GATEWAY_SHARED_CACHE_URL: ")
    assert "made-up" not in "".join(traceback.format_exception(caught.value))
