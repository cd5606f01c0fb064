"""The store on a real Redis: pages, and who fetches them."""

from gallery_gateway.shared.pages import PageKeys
from tests.shared.servers import RedisServer, needs_redis, stored_page
from tests.shared.stores import ADA, BEN, KEYS, PAGE, give, is_ours, store_on, until

pytestmark = needs_redis


async def test_a_page_is_taken_by_another_process(redis: RedisServer) -> None:
    async with store_on(redis) as one, store_on(redis) as other:
        await give(one)

        assert (await other.claim(KEYS, owner=b"other")).page == PAGE


async def test_a_page_is_taken_at_its_own_spot_only(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        await give(store)

        assert (await store.claim(PageKeys.of(BEN, "page=1"), owner=b"two")).page is None
        assert (await store.claim(PageKeys.of(ADA, "page=2"), owner=b"two")).page is None


async def test_a_page_is_gone_when_its_time_is_over(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store, seconds=30)

        assert 29_000 < await client.pttl(KEYS.page) <= 30_000


async def test_one_of_many_fetches_and_the_others_wait(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        claim = [await store.claim(KEYS, owner=b"%d" % number) for number in range(5)]

    assert [one.is_ours for one in claim] == [True, False, False, False, False]


async def test_who_gives_nothing_lets_the_next_one_fetch(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        claim = await store.claim(KEYS, owner=b"one")

        await store.release(KEYS, None, owner=b"one", generation=claim.generation, seconds=0)

        assert (await store.claim(KEYS, owner=b"two")).is_ours


async def test_a_dead_owners_lock_expires(redis: RedisServer) -> None:
    async with store_on(redis, lock_seconds=0.05) as store:
        await store.claim(KEYS, owner=b"dead")

        await until(lambda: is_ours(store))


async def test_a_lock_that_is_held_lasts_longer(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await store.claim(KEYS, owner=b"one")
        await client.pexpire(KEYS.lock, 1_000)

        await store.extend(KEYS, owner=b"two")
        after_another = await client.pttl(KEYS.lock)
        await store.extend(KEYS, owner=b"one")

        assert after_another <= 1_000 < await client.pttl(KEYS.lock)


async def test_who_was_overtaken_does_not_take_the_lock_away(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await store.claim(KEYS, owner=b"one")
        await client.set(KEYS.lock, b"two")

        await store.release(KEYS, PAGE, owner=b"one", generation=b"0", seconds=30)

        assert await client.get(KEYS.lock) == b"two"


async def test_what_an_older_call_brings_is_not_stored_over_what_a_younger_one_has(
    redis: RedisServer,
) -> None:
    younger = stored_page(b'{"pagination": {"total": 2}}')
    async with store_on(redis) as one, store_on(redis) as other:
        first = await one.claim(KEYS, owner=b"one")
        second = await other.claim(KEYS, owner=b"other", bypass=True)
        await other.release(KEYS, younger, owner=b"other", generation=second.generation, seconds=30)

        await one.release(KEYS, PAGE, owner=b"one", generation=first.generation, seconds=30)

        assert second.is_ours
        assert (await one.claim(KEYS, owner=b"two")).page == younger


async def test_who_skips_a_page_leaves_it_to_the_others_meanwhile(redis: RedisServer) -> None:
    async with store_on(redis) as store:
        await give(store)

        claim = await store.claim(KEYS, owner=b"one", bypass=True)

        assert (claim.page, claim.is_ours) == (None, True)
        assert (await store.claim(KEYS, owner=b"two")).page == PAGE


async def test_a_page_beyond_the_bound_is_not_stored(redis: RedisServer) -> None:
    large = stored_page(b" " * 1_000_001)
    async with store_on(redis) as store:
        claim = await store.claim(KEYS, owner=b"one")

        await store.release(KEYS, large, owner=b"one", generation=claim.generation, seconds=30)

        assert (await store.claim(KEYS, owner=b"two")).is_ours


async def test_no_key_shows_a_token_or_an_argument(redis: RedisServer) -> None:
    async with store_on(redis) as store, redis.client() as client:
        await give(store, PageKeys.of(ADA, "search=made-up-secret-dress"))

        assert not [key for key in await client.keys() if b"dress" in key]
