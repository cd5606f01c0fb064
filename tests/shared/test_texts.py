"""Persisted documents on a real Redis: what is registered at one process is run by its hash at the others."""

import hashlib
from typing import Any

from gallery_gateway.shared.sealing import Encryption
from gallery_gateway.shared.store import Commands
from gallery_gateway.shared.texts import SharedTexts, place_of
from tests.fakes import TOKEN, Client, FakeUpstream
from tests.shared.servers import RedisServer, needs_redis
from tests.shared.test_sharing import SECRET, gateways

pytestmark = needs_redis

DOCUMENT = "{ gallery { pagination { total } } }"
SHA256 = hashlib.sha256(DOCUMENT.encode()).hexdigest()
DAY_SECONDS = 24 * 3600
NOT_FOUND = [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}]


def seal() -> Encryption:
    return Encryption(SECRET.encode())


async def ask(client: Client, sha256: str = SHA256, **body: Any) -> Any:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256}}
    response = await client.http.post(
        "/graphql",
        json={"extensions": extensions, **body},
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    return response.json()


async def test_what_is_registered_at_one_is_run_by_its_hash_at_another(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream) as (one, other):
        registered = await ask(one, query=DOCUMENT)

        assert await ask(other) == registered

    assert registered == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_it_is_known_to_processes_that_begin_later_and_stays_for_a_day_after_its_last_use(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream, 1) as (one,):
        await ask(one, query=DOCUMENT)

    async with redis.client() as client:
        first_seconds = await client.ttl(place_of(SHA256))
        await client.expire(place_of(SHA256), 60)
        async with gateways(redis, upstream, 1) as (other,):
            assert "errors" not in await ask(other)
        seconds = await client.ttl(place_of(SHA256))

    assert DAY_SECONDS - 60 < first_seconds <= DAY_SECONDS
    assert DAY_SECONDS - 60 < seconds <= DAY_SECONDS


async def test_what_one_process_has_taken_it_need_not_take_again(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream) as (one, other):
        await ask(one, query=DOCUMENT)
        await ask(other)
        await redis.kill()

        assert "errors" not in await ask(other)


async def test_a_wrong_text_under_a_hash_is_not_run_even_if_it_was_sealed_there(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    wrong = seal().close(b"{ __typename }", key=place_of(SHA256))
    async with gateways(redis, upstream, 1) as (one,), redis.client() as client:
        for stored in (wrong, b"{ __typename }", b"", b"junk"):
            await client.set(place_of(SHA256), stored)

            assert await ask(one) == {"errors": NOT_FOUND}
    assert not upstream.requests


async def test_a_wrong_text_does_not_push_out_what_the_process_knows(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream, 1, persisted_queries_max_bytes=len(DOCUMENT)) as (one,):
        await ask(one, query=DOCUMENT)
        async with redis.client() as client:
            other = "0" * 64
            await client.set(place_of(other), seal().close(b"{ __typename }", key=place_of(other)))
        assert await ask(one, other) == {"errors": NOT_FOUND}
        await redis.kill()

        assert "errors" not in await ask(one)


async def test_without_redis_a_document_is_not_found_and_sent_again(
    redis: RedisServer, upstream: FakeUpstream
) -> None:
    async with gateways(redis, upstream, shared_cache_timeout_seconds=0.05) as (one, other):
        await ask(one, query=DOCUMENT)
        await redis.kill()

        unknown = await ask(other)
        sent = await ask(other, query=DOCUMENT)
        again = await ask(other)

    assert unknown == {"errors": NOT_FOUND}
    assert sent == again
    assert "errors" not in again


async def test_however_many_are_registered_they_have_a_number_of_places(redis: RedisServer) -> None:
    commands = Commands(redis.url, timeout_seconds=5)
    texts = SharedTexts(commands, seal())
    hashes = [f"abc{number:061x}" for number in range(20)]
    for sha256 in hashes:
        await texts.put(sha256, f"{{ a{sha256}: __typename }}")
    await texts.put("f" * 64, "{ __typename }" + " " * 40_000)
    await commands.aclose()

    async with redis.client() as client:
        assert await client.keys() == [place_of(hashes[0])]


async def test_an_id_that_is_no_hash_is_not_asked_for(redis: RedisServer) -> None:
    commands = Commands(redis.url, timeout_seconds=5)
    texts = SharedTexts(commands, seal())
    async with redis.client() as client:
        before = (await client.info("commandstats")).get("cmdstat_getex")
        for sha256 in ("", "x" * 64, SHA256.upper(), SHA256[:-1], "\u00e9" * 64):
            assert await texts.get(sha256) is None

        assert (await client.info("commandstats")).get("cmdstat_getex") == before
    await commands.aclose()


async def test_nothing_of_a_document_can_be_read_there(redis: RedisServer, upstream: FakeUpstream) -> None:
    document = '{ gallery(search: "made-up-dress") { pagination { total } } }'
    async with gateways(redis, upstream, 1) as (one,), redis.client() as client:
        await ask(one, hashlib.sha256(document.encode()).hexdigest(), query=document)

        kept = [(key, await client.dump(key)) for key in await client.keys()]

    assert kept
    assert b"dress" not in repr(kept).encode()
