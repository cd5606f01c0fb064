"""Pages past their time leave the memory of a gateway that nobody calls."""

import asyncio
from typing import Any, cast

from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.resilience import RateLimitMemory
from tests.fakes import TOKEN
from tests.gallery.endpoints import ManualClock
from tests.gallery.test_cache import entry_of


class NoFetcher:
    """Closes, and is never asked."""

    async def fetch(self, *_arguments: Any, **_options: Any) -> Any:
        raise AssertionError

    async def aclose(self) -> None: ...


class SweptCache(PageCache):
    """Says when it has been swept."""

    swept: asyncio.Event

    def remove_expired(self) -> None:
        super().remove_expired()
        self.swept.set()


async def test_pages_past_their_time_are_removed_without_traffic() -> None:
    time = ManualClock()
    cache = SweptCache(max_bytes=100_000, caller_max_bytes=100_000, clock=time.clock)
    cache.swept = asyncio.Event()
    gallery = Gallery(
        fetcher=cast("PageFetcher", NoFetcher()),
        cache=cache,
        rate_limits=RateLimitMemory(clock=time.clock.monotonic),
        clock=time.clock,
        sweep_seconds=0.001,
    )
    cache.put(Caller(TOKEN, secret=b"s" * 32), entry_of(GalleryRequest(), now=time.seconds, seconds=30))
    time.step(30)

    await gallery.open()
    async with asyncio.timeout(10):
        await cache.swept.wait()
    await gallery.aclose()

    assert (len(cache), cache.size_bytes) == (0, 0)
