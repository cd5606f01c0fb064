"""A real Redis that is killed, paused, late, full, or holds what it should not."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection, UnixDomainSocketConnection

from gallery_gateway.shared.pages import PageKeys, StoreError
from gallery_gateway.shared.store import CLAIM, PageStore, RedisClient
from gallery_gateway.telemetry import logs
from tests.logging_to import Written
from tests.shared.servers import RedisServer, needs_redis
from tests.shared.stores import (
    ADA,
    BEN,
    KEYS,
    PAGE,
    TIMEOUT_SECONDS,
    give,
    is_answered,
    is_ours,
    patient,
    store_on,
    until,
)

pytestmark = needs_redis


@asynccontextmanager
async def impatient_store(
    redis: RedisServer, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> AsyncIterator[PageStore]:
    """A store with an open connection to a server that holds the page."""
    async with store_on(redis) as patient, store_on(redis, timeout_seconds=timeout_seconds) as store:
        await give(patient)
        # Until it is connected, which may take longer than its timeout.
        await until(lambda: is_answered(store, PageKeys.of(ADA, "page=9")))
        yield store


async def test_a_killed_server_costs_no_more_than_the_timeout_and_is_found_again(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        await give(store)
        await redis.kill()

        with pytest.raises(StoreError):
            await store.claim(KEYS, owner=b"two")
        assert not store.is_available

        await redis.start()
        await until(lambda: is_ours(store))
        assert store.is_available


async def test_a_paused_server_costs_the_timeout_once_and_then_nothing(redis: RedisServer) -> None:
    async with impatient_store(redis) as store:
        redis.pause()

        started = time.monotonic()
        with pytest.raises(StoreError) as first:
            await store.claim(KEYS, owner=b"two")
        first_seconds = time.monotonic() - started
        # It is run without a loop: it must end without a single wait.
        with pytest.raises(StoreError, match="resting"):
            store.claim(KEYS, owner=b"two").send(None)
        redis.resume()

    assert first_seconds >= TIMEOUT_SECONDS * 0.9
    # Not the later timeout of the connection, which has an error of its own.
    assert type(first.value.__cause__) is TimeoutError


async def test_an_answer_that_comes_too_late_is_nobody_elses(redis: RedisServer) -> None:
    bens = PageKeys.of(BEN, "page=1")
    async with impatient_store(redis) as store:
        redis.pause()
        with pytest.raises(StoreError):
            await store.claim(KEYS, owner=b"two")
        redis.resume()

        await until(lambda: is_ours(store, bens))


async def test_a_server_that_answers_late_is_there_again_with_its_answer(redis: RedisServer) -> None:
    # The connection waits for twice as long as the store.
    async with impatient_store(redis, timeout_seconds=2.0) as store:
        redis.pause()
        with pytest.raises(StoreError):
            await store.claim(KEYS, owner=b"two")
        assert not store.is_available
        redis.resume()

        # Nobody asks it for anything meanwhile.
        async with asyncio.timeout(20):
            while not store.is_available:  # noqa: ASYNC110  # it comes from another process
                await asyncio.sleep(0.005)


async def test_the_lateness_of_the_process_itself_is_not_the_servers(redis: RedisServer) -> None:
    # Longer than a busy server takes for an answer; the loop then stands still for longer than that, and for
    # less than the 0.9 s of the connection's own timeout.
    timeout_seconds = 0.25
    async with store_on(redis) as one, store_on(redis, timeout_seconds=timeout_seconds) as late:
        await give(one)
        taking = asyncio.create_task(late.claim(KEYS, owner=b"two"))
        # Until it connects, which takes several questions and answers; then the loop stands still.
        for _ in range(5):
            await asyncio.sleep(0)
        time.sleep(2.4 * timeout_seconds)  # noqa: ASYNC251  # as a busy machine may have it

        assert (await taking).page == PAGE


async def test_a_store_that_is_opened_has_a_connection_and_its_scripts(redis: RedisServer) -> None:
    client_of_store = RedisClient(patient(redis.url, 20))
    await client_of_store.open()

    async with redis.client() as client:
        before = (await client.info("commandstats"))["cmdstat_hello"]["calls"]
        await client_of_store.run(CLAIM, KEYS, [b"one", 1_000, 0])
        stats = await client.info("commandstats")

    assert stats["cmdstat_hello"]["calls"] == before
    assert stats["cmdstat_evalsha"] == stats["cmdstat_evalsha"] | {"calls": 1, "failed_calls": 0}
    await client_of_store.aclose()


async def test_a_store_that_is_opened_without_a_server_says_so(redis: RedisServer) -> None:
    await redis.kill()
    client = RedisClient(redis.url)

    await client.open()

    assert not client.is_available
    await client.aclose()


async def test_a_full_server_takes_no_page_and_is_still_there(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store)
        await client.config_set("maxmemory", "1")

        with pytest.raises(StoreError, match="refused"):
            await store.claim(PageKeys.of(ADA, "page=2"), owner=b"two")

        assert store.is_available
        assert (await store.claim(KEYS, owner=b"two")).page == PAGE


@pytest.mark.parametrize("wrong", [b"", b"junk", bytes(10_000)])
async def test_wrong_contents_are_no_page_and_are_thrown_away(redis: RedisServer, wrong: bytes) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await client.set(KEYS.page, wrong)

        claim = await store.claim(KEYS, owner=b"one")

        assert (claim.page, claim.is_ours) == (None, True)
        assert not await client.exists(KEYS.page)


async def test_wrong_contents_that_cannot_be_thrown_away_are_not_waited_for(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await client.set(KEYS.page, b"junk")
        await client.acl_setuser("default", enabled=True, nopass=True, commands=["-unlink"])

        with pytest.raises(StoreError):
            await store.claim(KEYS, owner=b"one")


async def test_another_callers_page_put_in_ones_place_is_no_page(redis: RedisServer) -> None:
    bens = PageKeys.of(BEN, "page=1")
    async with store_on(redis) as store, redis.client() as client:
        await give(store, bens)
        await client.rename(bens.page, KEYS.page)

        assert (await store.claim(KEYS, owner=b"one")).page is None


async def test_a_value_of_another_kind_is_an_error_and_no_outage(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await client.lpush(KEYS.page, b"x")

        with pytest.raises(StoreError, match="refused"):
            await store.claim(KEYS, owner=b"one")

        assert store.is_available


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scheme", ["redis://127.0.0.1:1", "rediss://127.0.0.1:1", "unix:///nowhere"])
async def test_an_option_of_redis_py_is_refused_at_once_or_never(scheme: str) -> None:
    kinds = [Connection, SSLConnection, UnixDomainSocketConnection, BlockingConnectionPool]
    parents = {parent for kind in kinds for parent in kind.__mro__[:-1]}
    names = {name for parent in parents for name in inspect.signature(parent).parameters}

    for url in [f"{scheme}?{name}={value}" for name in {"foo", *names} for value in ("x", "1", "-1", "nan")]:
        with suppress(ValueError):
            client = RedisClient(url)
            await client.open()
            await client.aclose()
            assert not client.is_available


async def test_an_idle_process_notices_that_redis_is_gone_and_back(redis: RedisServer) -> None:
    written = Written()
    logs.configure("warning", "json", stream=written)
    async with store_on(redis) as store, asyncio.timeout(20):
        await redis.kill()
        while store.is_available:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
        await redis.start()
        while not store.is_available:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)

    events = [(line["event"], line["reason"]) for line in written.lines()]
    assert events == [("shared_cache.lost", "ConnectionError")]


async def test_a_refusal_shows_that_redis_is_back(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client, asyncio.timeout(20):
        await redis.kill()
        assert not await is_answered(store, KEYS)
        await redis.start()
        await client.acl_setuser("default", enabled=True, commands=["-ping"])

        while not store.is_available:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
