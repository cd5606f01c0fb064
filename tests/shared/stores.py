"""A store on a server, and questions to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gallery_gateway.shared.pages import PageKeys, StoredPage, StoreError
from gallery_gateway.shared.store import PageStore, PurgeListener, connect
from tests.shared.servers import RedisServer, stored_page

SECRET = b"a-made-up-secret-of-32-characters"
ADA, BEN = b"a" * 32, b"b" * 32
KEYS = PageKeys.of(ADA, "page=1")
PAGE = stored_page()
# The default.
TIMEOUT_SECONDS = 0.05


def patient(url: str, timeout_seconds: float) -> str:
    """The URL of a server whose answers are waited for this long."""
    return f"{url}?socket_timeout={timeout_seconds}"


@asynccontextmanager
async def store_on(
    redis: RedisServer,
    *,
    timeout_seconds: float = 5.0,
    lock_seconds: float = 5.0,
    on_purge: Callable[[bytes], None] = lambda _caller: None,
) -> AsyncIterator[PageStore]:
    store = PageStore(
        patient(redis.url, timeout_seconds),
        secret=SECRET,
        lock_seconds=lock_seconds,
        max_bytes=1_000_000,
        on_purge=on_purge,
        on_gap=lambda: None,
    )
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


async def give(
    store: PageStore,
    keys: PageKeys = KEYS,
    *,
    owner: bytes = b"one",
    page: StoredPage = PAGE,
    seconds: float = 30,
) -> None:
    claim = await store.claim(keys, owner=owner)
    await store.release(keys, page, owner=owner, generation=claim.generation, seconds=seconds)


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


async def is_answered(store: PageStore, keys: PageKeys) -> bool:
    try:
        await store.claim(keys, owner=b"another")
    except StoreError:
        return False
    return True


async def is_ours(store: PageStore, keys: PageKeys = KEYS) -> bool:
    try:
        claim = await store.claim(keys, owner=b"another")
    except StoreError:
        return False
    assert claim.page is None
    return claim.is_ours
