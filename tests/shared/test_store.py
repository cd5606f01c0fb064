"""The store on a real Redis: pages, locks, purges, and a server that is killed, paused, full or wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gallery_gateway.shared.commands import Commands, connect
from gallery_gateway.shared.pages import Spot, StoreError
from gallery_gateway.shared.purges import PurgeListener
from gallery_gateway.shared.scripts import ALL, TAKE
from gallery_gateway.shared.sealing import Encryption
from gallery_gateway.shared.store import PageStore
from tests.shared.servers import RedisServer, needs_redis, stored_page

pytestmark = needs_redis

SECRET = b"a-made-up-secret-of-32-characters"
ADA, BEN = b"a" * 32, b"b" * 32
SPOT = Spot.of(ADA, "page=1")
PAGE = stored_page()

# The setting's default.
TIMEOUT_SECONDS = 0.05


@asynccontextmanager
async def store_on(
    redis: RedisServer,
    *,
    timeout_seconds: float = 5.0,
    lock_seconds: float = 5.0,
    on_purge: Callable[[bytes], None] = lambda _caller: None,
) -> AsyncIterator[PageStore]:
    store = PageStore(
        Commands(redis.url, timeout_seconds=timeout_seconds),
        seal=Encryption(SECRET),
        lock_seconds=lock_seconds,
        max_bytes=1_000_000,
        on_purge=on_purge,
        on_gap=lambda: None,
    )
    try:
        yield store
    finally:
        await store.aclose()


async def give(store: PageStore, spot: Spot = SPOT, *, owner: bytes = b"one", seconds: float = 30) -> None:
    taken = await store.take(spot, owner=owner)
    await store.give(spot, PAGE, owner=owner, generation=taken.generation, seconds=seconds)


def listener_on(
    redis: RedisServer,
    on_purge: Callable[[bytes], None] = lambda _caller: None,
    on_gap: Callable[[], None] = lambda: None,
) -> PurgeListener:
    return PurgeListener(connect(redis.url, timeout_seconds=None), on_purge=on_purge, on_gap=on_gap)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for another process, which can only be asked."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.01)


async def is_answered(store: PageStore, spot: Spot) -> bool:
    try:
        await store.take(spot, owner=b"another")
    except StoreError:
        return False
    return True


async def is_ours(store: PageStore, spot: Spot = SPOT) -> bool:
    try:
        taken = await store.take(spot, owner=b"another")
    except StoreError:
        return False
    assert taken.page is None
    return taken.is_ours


async def test_a_page_is_taken_by_another_process(redis: RedisServer) -> None:
    async with store_on(redis) as one, store_on(redis) as other:
        await give(one)

        assert (await other.take(SPOT, owner=b"other")).page == PAGE


async def test_a_page_is_taken_at_its_own_spot_only(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        await give(store)

        assert (await store.take(Spot.of(BEN, "page=1"), owner=b"two")).page is None
        assert (await store.take(Spot.of(ADA, "page=2"), owner=b"two")).page is None


async def test_a_page_is_gone_when_its_time_is_over(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store, seconds=30)

        assert 29_000 < await client.pttl(SPOT.page) <= 30_000


async def test_one_of_many_fetches_and_the_others_wait(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        taken = [await store.take(SPOT, owner=b"%d" % number) for number in range(5)]

    assert [one.is_ours for one in taken] == [True, False, False, False, False]


async def test_who_gives_nothing_lets_the_next_one_fetch(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        taken = await store.take(SPOT, owner=b"one")

        await store.give(SPOT, None, owner=b"one", generation=taken.generation, seconds=0)

        assert (await store.take(SPOT, owner=b"two")).is_ours


async def test_a_dead_owners_lock_expires(redis: RedisServer) -> None:
    async with store_on(redis, lock_seconds=0.05) as store:
        await store.take(SPOT, owner=b"dead")

        await until(lambda: is_ours(store))


async def test_a_lock_that_is_held_lasts_longer(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await store.take(SPOT, owner=b"one")
        await client.pexpire(SPOT.lock, 1_000)

        await store.hold(SPOT, owner=b"two")
        after_another = await client.pttl(SPOT.lock)
        await store.hold(SPOT, owner=b"one")

        assert after_another <= 1_000 < await client.pttl(SPOT.lock)


async def test_who_was_overtaken_does_not_take_the_lock_away(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await store.take(SPOT, owner=b"one")
        await client.set(SPOT.lock, b"two")

        await store.give(SPOT, PAGE, owner=b"one", generation=b"0", seconds=30)

        assert await client.get(SPOT.lock) == b"two"


async def test_what_an_older_call_brings_is_not_stored_over_what_a_younger_one_has(
    redis: RedisServer,
) -> None:
    younger = stored_page(b'{"pagination": {"total": 2}}')
    async with store_on(redis) as one, store_on(redis) as other:
        first = await one.take(SPOT, owner=b"one")
        second = await other.take(SPOT, owner=b"other", skips_page=True)
        await other.give(SPOT, younger, owner=b"other", generation=second.generation, seconds=30)

        await one.give(SPOT, PAGE, owner=b"one", generation=first.generation, seconds=30)

        assert second.is_ours
        assert (await one.take(SPOT, owner=b"two")).page == younger


async def test_who_skips_a_page_leaves_it_to_the_others_meanwhile(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        await give(store)

        taken = await store.take(SPOT, owner=b"one", skips_page=True)

        assert (taken.page, taken.is_ours) == (None, True)
        assert (await store.take(SPOT, owner=b"two")).page == PAGE


async def test_a_purge_keeps_out_what_was_asked_for_before(redis: RedisServer) -> None:
    async with store_on(redis) as one, store_on(redis) as other:
        taken = await one.take(SPOT, owner=b"one")
        await other.purge(ADA)

        await one.give(SPOT, PAGE, owner=b"one", generation=taken.generation, seconds=30)

        assert (await other.take(SPOT, owner=b"other")).page is None


async def test_a_purge_forgets_the_callers_pages_and_no_others(redis: RedisServer) -> None:
    bens = Spot.of(BEN, "page=1")
    async with store_on(redis) as one, store_on(redis) as other:
        await give(one)
        await give(one, bens)

        await other.purge(ADA)

        assert (await one.take(SPOT, owner=b"two")).page is None
        assert (await one.take(bens, owner=b"two")).page == PAGE


async def test_a_purge_that_the_server_did_not_hear_is_sent_before_anything_is_taken(
    redis: RedisServer,
) -> None:
    async with store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as one, store_on(redis) as other:
        await give(other)
        redis.pause()
        with pytest.raises(StoreError):
            await one.take(SPOT, owner=b"one")
        with pytest.raises(StoreError, match="resting"):
            await one.purge(ADA)
        redis.resume()
        assert (await other.take(SPOT, owner=b"other")).page == PAGE

        await until(lambda: is_answered(one, Spot.of(BEN, "page=1")))

        assert (await other.take(SPOT, owner=b"other")).page is None


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


async def test_a_killed_server_costs_no_more_than_the_timeout_and_is_found_again(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        await give(store)
        await redis.kill()

        with pytest.raises(StoreError):
            await store.take(SPOT, owner=b"two")
        assert not store.is_available

        await redis.start()
        await until(lambda: is_ours(store))
        assert store.is_available


async def test_a_paused_server_costs_the_timeout_once_and_then_nothing(redis: RedisServer) -> None:
    async with store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as store:
        await give(store)
        redis.pause()

        started = time.process_time()
        waited = time.monotonic()
        with pytest.raises(StoreError):
            await store.take(SPOT, owner=b"two")
        first_seconds = time.monotonic() - waited - (time.process_time() - started)
        waited = time.monotonic()
        with pytest.raises(StoreError, match="resting"):
            await store.take(SPOT, owner=b"two")
        second_seconds = time.monotonic() - waited
        redis.resume()

    assert TIMEOUT_SECONDS * 0.9 <= first_seconds < 1
    assert second_seconds < TIMEOUT_SECONDS


async def test_an_answer_that_comes_too_late_is_nobody_elses(redis: RedisServer) -> None:
    bens = Spot.of(BEN, "page=1")
    async with store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as store:
        await give(store)
        redis.pause()
        with pytest.raises(StoreError):
            await store.take(SPOT, owner=b"two")
        redis.resume()

        await until(lambda: is_ours(store, bens))


async def test_a_server_that_answers_late_is_there_again_with_its_answer(redis: RedisServer) -> None:
    async with store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as store:
        await give(store)
        redis.pause()
        with pytest.raises(StoreError):
            await store.take(SPOT, owner=b"two")
        assert not store.is_available
        redis.resume()

        # Well before anybody would have tried it again.
        async with asyncio.timeout(0.8):
            while not store.is_available:  # noqa: ASYNC110  # it comes from another process
                await asyncio.sleep(0.005)


async def test_the_lateness_of_the_process_itself_is_not_the_servers(redis: RedisServer) -> None:
    async with store_on(redis) as one, store_on(redis, timeout_seconds=TIMEOUT_SECONDS) as late:
        await give(one)
        taking = asyncio.create_task(late.take(SPOT, owner=b"two"))
        # Until it connects, which takes several questions and answers; then the loop stands still.
        for _ in range(5):
            await asyncio.sleep(0)
        time.sleep(10 * TIMEOUT_SECONDS)  # noqa: ASYNC251  # as a busy machine may have it

        assert (await taking).page == PAGE


async def test_a_store_that_is_opened_has_a_connection_and_its_scripts(redis: RedisServer) -> None:
    commands = Commands(redis.url, timeout_seconds=TIMEOUT_SECONDS)
    await commands.open(ALL)

    async with redis.client() as client:
        before = (await client.info("commandstats"))["cmdstat_hello"]["calls"]
        await commands.run(TAKE, [SPOT.page, SPOT.generation, SPOT.lock], [b"one", 1_000, 0])
        stats = await client.info("commandstats")

    assert stats["cmdstat_hello"]["calls"] == before
    assert stats["cmdstat_evalsha"] == stats["cmdstat_evalsha"] | {"calls": 1, "failed_calls": 0}
    await commands.aclose()


async def test_a_store_that_is_opened_without_a_server_says_so(redis: RedisServer) -> None:
    await redis.kill()
    commands = Commands(redis.url, timeout_seconds=TIMEOUT_SECONDS)

    await commands.open(ALL)

    assert not commands.is_available
    await commands.aclose()


async def test_a_full_server_takes_no_page_and_is_still_there(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store)
        await client.config_set("maxmemory", "1")

        with pytest.raises(StoreError, match="refused"):
            await store.take(Spot.of(ADA, "page=2"), owner=b"two")

        assert store.is_available
        assert (await store.take(SPOT, owner=b"two")).page == PAGE


@pytest.mark.parametrize("wrong", [b"", b"junk", bytes(10_000)])
async def test_wrong_contents_are_no_page_and_are_thrown_away(redis: RedisServer, wrong: bytes) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await client.set(SPOT.page, wrong)

        taken = await store.take(SPOT, owner=b"one")

        assert (taken.page, taken.is_ours) == (None, True)
        assert not await client.exists(SPOT.page)


async def test_wrong_contents_that_cannot_be_thrown_away_are_not_waited_for(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await client.set(SPOT.page, b"junk")
        await client.acl_setuser("default", enabled=True, nopass=True, commands=["-unlink"])

        with pytest.raises(StoreError):
            await store.take(SPOT, owner=b"one")


async def test_another_callers_page_put_in_ones_place_is_no_page(redis: RedisServer) -> None:
    bens = Spot.of(BEN, "page=1")
    async with store_on(redis) as store, redis.client() as client:
        await give(store, bens)
        await client.rename(bens.page, SPOT.page)

        assert (await store.take(SPOT, owner=b"one")).page is None


async def test_a_value_of_another_kind_is_an_error_and_no_outage(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await client.lpush(SPOT.page, b"x")

        with pytest.raises(StoreError, match="refused"):
            await store.take(SPOT, owner=b"one")

        assert store.is_available


async def test_a_page_beyond_the_bound_is_not_stored(redis: RedisServer) -> None:
    large = stored_page(b" " * 1_000_001)
    async with store_on(redis) as store:
        taken = await store.take(SPOT, owner=b"one")

        await store.give(SPOT, large, owner=b"one", generation=taken.generation, seconds=30)

        assert (await store.take(SPOT, owner=b"two")).is_ours


async def test_no_key_shows_a_token_or_an_argument(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store, Spot.of(ADA, "search=made-up-secret-dress"))

        assert not [key for key in await client.keys() if b"dress" in key]
