"""Purges on a real Redis: what they keep out, and who hears of them."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from gallery_gateway.shared.pages import PageKeys, StoreError
from gallery_gateway.shared.store import connect
from tests.shared.servers import RedisServer, needs_redis
from tests.shared.stores import (
    ADA,
    BEN,
    KEYS,
    PAGE,
    TIMEOUT_SECONDS,
    give,
    is_answered,
    listener_on,
    store_on,
    until,
)

pytestmark = needs_redis


@asynccontextmanager
async def unheard(client: Redis) -> AsyncIterator[None]:
    """The server refuses purges meanwhile."""
    await client.acl_setuser("default", enabled=True, nopass=True, commands=["-del"])
    yield
    await client.acl_setuser("default", enabled=True, nopass=True, commands=["+del"])


async def purges_sent(client: Redis) -> int:
    stats = await client.info("commandstats")
    return int(stats.get("cmdstat_publish", {"calls": 0})["calls"])


async def test_a_purge_keeps_out_what_was_asked_for_before(redis: RedisServer) -> None:
    async with store_on(redis) as one, store_on(redis) as other:
        claim = await one.claim(KEYS, owner=b"one")
        await other.purge(ADA)

        await one.release(KEYS, PAGE, owner=b"one", generation=claim.generation, seconds=30)

        assert (await other.claim(KEYS, owner=b"other")).page is None


async def test_a_purge_forgets_the_callers_pages_and_no_others(redis: RedisServer) -> None:
    bens = PageKeys.of(BEN, "page=1")
    async with store_on(redis) as one, store_on(redis) as other:
        await give(one)
        await give(one, bens)

        await other.purge(ADA)

        assert (await one.claim(KEYS, owner=b"two")).page is None
        assert (await one.claim(bens, owner=b"two")).page == PAGE


async def test_a_purge_that_the_server_did_not_hear_is_sent_before_anything_is_taken(
    redis: RedisServer,
) -> None:
    async with store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as one, store_on(redis) as other:
        await give(other)
        redis.pause()
        with pytest.raises(StoreError):
            await one.claim(KEYS, owner=b"one")
        with pytest.raises(StoreError, match="resting"):
            await one.purge(ADA)
        redis.resume()
        assert (await other.claim(KEYS, owner=b"other")).page == PAGE

        await until(lambda: is_answered(one, PageKeys.of(BEN, "page=1")))

        assert (await other.claim(KEYS, owner=b"other")).page is None


async def test_a_claim_waits_for_no_other_callers_purge_and_each_goes_out_once(redis: RedisServer) -> None:
    purged = [b"%032d" % number for number in range(1_000)]
    own = PageKeys.of(purged[-1], "page=1")
    async with store_on(redis) as one, store_on(redis) as other, redis.client() as client:
        await give(other, own)
        async with unheard(client):
            for caller_key in purged:
                with pytest.raises(StoreError):
                    await one.purge(caller_key)
        await client.config_resetstat()

        await asyncio.gather(
            *[one.claim(PageKeys.of(BEN, f"page={number}"), owner=b"%d" % number) for number in range(20)]
        )
        sent_before_the_claims = await purges_sent(client)
        own_claim = await one.claim(own, owner=b"one")

        async def all_are_sent() -> bool:
            return await purges_sent(client) >= len(purged)

        await until(all_are_sent)
        for number in range(20):
            await one.claim(PageKeys.of(BEN, f"page={number}"), owner=b"two")
        sent = await purges_sent(client)

    assert sent_before_the_claims < len(purged) / 2
    assert own_claim.page is None
    # The caller's own purge may have gone out with its claim and in its turn.
    assert len(purged) <= sent <= len(purged) + 1


async def test_a_page_from_before_a_purge_that_was_forgotten_among_many_is_not_read(
    redis: RedisServer,
) -> None:
    now = time.time()
    bens = PageKeys.of(BEN, "page=1")
    async with store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as one, store_on(redis) as other:
        await give(other, page=msgspec.structs.replace(PAGE, asked_at=now - 1))
        redis.pause()
        # The server hears the first one late.
        for caller_key in [BEN, ADA, *(b"%032d" % number for number in range(10_000))]:
            with pytest.raises(StoreError):
                await one.purge(caller_key)
        redis.resume()
        later = msgspec.structs.replace(PAGE, asked_at=time.time() + 1)
        await give(other, bens, page=later)
        await until(lambda: is_answered(one, PageKeys.of(BEN, "page=2")))

        async def ada_has_no_page() -> bool:
            try:
                return (await one.claim(KEYS, owner=b"one")).page is None
            except StoreError:
                return False

        await until(ada_has_no_page)
        assert (await other.claim(bens, owner=b"other")).page == later


async def test_a_purge_leaves_nothing_in_redis(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        claim = await store.claim(KEYS, owner=b"one")
        await store.purge(ADA)
        await store.release(KEYS, PAGE, owner=b"one", generation=claim.generation, seconds=30)

        await store.purge(BEN)

        assert await client.keys() == []


async def test_nothing_in_redis_outlives_the_pages(redis: RedisServer) -> None:
    async with store_on(redis, lock_seconds=3) as store, redis.client() as client:
        await give(store, seconds=30)
        await give(store, PageKeys.of(ADA, "page=2"), owner=b"two", seconds=10)

        lifetimes = {key: await client.pttl(key) for key in await client.keys()}

    assert len(lifetimes) == 3
    assert all(0 < milliseconds <= 30_000 for milliseconds in lifetimes.values())
    assert lifetimes[KEYS.generation] >= lifetimes[KEYS.page]


async def test_a_generation_lasts_as_long_as_the_lock_is_extended(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        claim = await store.claim(KEYS, owner=b"one")
        await client.pexpire(KEYS.generation, 1_000)

        await store.extend(KEYS, owner=b"one")

        assert await client.pttl(KEYS.generation) > 1_000
        await store.release(KEYS, PAGE, owner=b"one", generation=claim.generation, seconds=30)
        assert (await store.claim(KEYS, owner=b"two")).page == PAGE


async def test_a_caller_whose_generation_was_evicted_has_no_pages(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store)
        await client.delete(KEYS.generation)

        assert (await store.claim(KEYS, owner=b"two")).page is None


@pytest.mark.parametrize("seed", range(20))
async def test_no_order_of_events_brings_back_a_page_that_was_claimed_before_a_purge(
    redis: RedisServer, seed: int
) -> None:
    rng = random.Random(seed)
    purges = 0
    # By owner: the page, the generation, and the number of purges at the claim.
    claims: dict[bytes, tuple[PageKeys, bytes, int]] = {}
    async with store_on(redis) as store, redis.client() as client:
        for number in range(100):
            event = rng.choice(["claim", "claim", "release", "release", "purge", "lose"])
            if event == "claim":
                keys, owner = PageKeys.of(ADA, rng.choice(["page=1", "page=2"])), b"%d" % number
                claim = await store.claim(keys, owner=owner, bypass=rng.random() < 0.3)
                assert claim.page is None or claim.page.asked_at == 1 + purges
                if claim.is_ours:
                    claims[owner] = keys, claim.generation, purges
            elif event == "release" and claims:
                owner = rng.choice(list(claims))
                keys, generation, purges_before = claims.pop(owner)
                page = msgspec.structs.replace(PAGE, asked_at=1.0 + purges_before)
                await store.release(keys, page, owner=owner, generation=generation, seconds=30)
            elif event == "purge":
                await store.purge(ADA)
                purges += 1
            elif event == "lose":
                # As if it were evicted, or its time were over.
                await client.delete(KEYS.generation)


async def test_a_purge_is_heard_by_the_other_processes(redis: RedisServer) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    listener = listener_on(redis, on_purge=heard.put_nowait)
    listener.start()
    async with store_on(redis) as store, asyncio.timeout(20):
        await listener.is_listening.wait()

        await store.purge(ADA)

        assert await heard.get() == ADA
    await listener.aclose()


async def test_a_listener_tells_of_what_it_may_have_missed_before_it_heard_and_whenever_it_was_lost(
    redis: RedisServer,
) -> None:
    gaps: asyncio.Queue[None] = asyncio.Queue()
    listener = listener_on(redis, on_gap=lambda: gaps.put_nowait(None))
    listener.start()
    async with asyncio.timeout(20):
        await gaps.get()
        assert listener.is_listening.is_set()
        assert gaps.empty()

        await redis.kill()
        await redis.start()
        await gaps.get()
    await listener.aclose()


async def test_a_store_that_is_opened_hears_purges_from_then_on(redis: RedisServer) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with store_on(redis, on_purge=heard.put_nowait) as one, store_on(redis) as other:
        await one.open()

        await other.purge(ADA)

        async with asyncio.timeout(20):
            assert await heard.get() == ADA


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="not Linux")
async def test_a_listener_asks_a_silent_connection_whether_it_is_still_there(redis: RedisServer) -> None:
    listener = listener_on(redis)
    listener.start()
    async with asyncio.timeout(20):
        await listener.is_listening.wait()

    kept_alive = [line for line in _connections_to(redis.port) if line.split()[5].startswith("02:")]

    assert kept_alive
    await listener.aclose()


def _connections_to(port: int) -> list[str]:
    """Lines of the kernel's table, in which a timer of kind 2 is that of keep-alive."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return [line for line in lines if line.split()[2].endswith(f":{port:04X}")]


def test_a_listener_waits_forever_whatever_the_url_says() -> None:
    redis = connect("redis://cache/0?socket_timeout=0.2", timeout_seconds=None)

    assert redis.connection_pool.connection_kwargs["socket_timeout"] is None
