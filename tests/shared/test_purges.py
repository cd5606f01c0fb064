"""Purges on a real Redis: what they keep out, and who hears of them."""

import asyncio
from pathlib import Path

import pytest

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
