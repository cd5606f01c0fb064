"""A store on a server, and questions to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gallery_gateway.shared.pages import Spot, StoreError
from gallery_gateway.shared.sealing import Encryption
from gallery_gateway.shared.store import Commands, PageStore, PurgeListener, connect
from tests.shared.servers import RedisServer, stored_page

SECRET = b"a-made-up-secret-of-32-characters"
ADA, BEN = b"a" * 32, b"b" * 32
SPOT = Spot.of(ADA, "page=1")
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
        Commands(patient(redis.url, timeout_seconds)),
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
