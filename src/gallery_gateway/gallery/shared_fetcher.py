"""Fetches pages that several processes share through a store, once for all of them."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gallery_gateway.clock import Clock
from gallery_gateway.errors import GatewayError, UpstreamContractError
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.entry import (
    CacheEntry,
    FetchResult,
    ResponseWriter,
    has_pending_images,
    project_ids_of,
)
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.request import GalleryRequest, query_string
from gallery_gateway.shared.pages import Claim, PageKeys, StoredPage, StoreError
from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.resilience import Deadline

if TYPE_CHECKING:
    # Needs libraries of an extra.
    from gallery_gateway.shared.store import PageStore

# Pauses between two looks for a page that another process is fetching.
_FIRST_PAUSE_SECONDS = 0.01
_MAX_PAUSE_SECONDS = 0.1


class SharedFetcher:
    """Looks into the store before it fetches, and stores what it fetched.

    Args:
        alone: fetches without the store, also while the store is unavailable.
        max_wait_seconds: how long to wait for a page that another process is fetching.
    """

    def __init__(
        self,
        alone: PageFetcher,
        store: "PageStore",
        cache: PageCache,
        clock: Clock,
        *,
        max_wait_seconds: float,
    ) -> None:
        self._alone = alone
        self._store = store
        self._cache = cache
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._background: set[asyncio.Task[None]] = set()

    async def fetch(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        deadline: Deadline | None = None,
        bypass_cache: bool = False,
        decoder: PageDecoder = parse_page,
        writer: ResponseWriter | None = None,
    ) -> FetchResult:
        """Return the page of another process, or else fetch it, with `writer` as `PageFetcher` does.

        Raises:
            GatewayError: the upstream call failed.
        """
        # A new owner for each fetch: the process may fetch the page again before it has stored it.
        owner = os.urandom(8).hex().encode()
        # The upstream call: requests that differ only in which pages may answer them share its page.
        keys = PageKeys.of(caller.key, query_string(request))
        fetch = partial(self._alone.fetch, caller, request, deadline=deadline, decoder=decoder, writer=writer)
        try:
            claim = await self._claim(keys, owner, deadline, bypass=bypass_cache)
            if claim.page is not None:
                return self._loaded(caller, request, claim.page)
        except StoreError:
            return await self._fetch_alone(caller, fetch)
        return await self._fetch_for_all(self._fetch_alone(caller, fetch), keys, owner, claim.generation)

    async def aclose(self) -> None:
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._alone.aclose()

    async def _claim(self, keys: PageKeys, owner: bytes, deadline: Deadline | None, *, bypass: bool) -> Claim:
        """Wait until the store has the page, or this process has the lock to fetch it."""
        deadline = deadline or Deadline(asyncio.get_running_loop().time() + self._max_wait_seconds)
        pause_seconds = _FIRST_PAUSE_SECONDS
        claim = await self._store.claim(keys, owner=owner, bypass=bypass)
        while claim.page is None and not claim.is_ours and deadline.remaining_seconds > 0:
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(1.5 * pause_seconds, _MAX_PAUSE_SECONDS)
            claim = await self._store.claim(keys, owner=owner)
        return claim

    async def _fetch_for_all(
        self, call: Coroutine[Any, Any, FetchResult], keys: PageKeys, owner: bytes, generation: bytes
    ) -> FetchResult:
        holding = asyncio.create_task(self._extend_lock(keys, owner))
        fetched: FetchResult | None = None
        try:
            fetched = await call
            return fetched
        finally:
            holding.cancel()
            self._in_background(self._release(keys, fetched.entry if fetched else None, owner, generation))

    async def _fetch_alone(self, caller: Caller, fetch: Callable[[], Awaitable[FetchResult]]) -> FetchResult:
        try:
            return await fetch()
        except GatewayError as exc:
            if exc.consequences.purges_caller:
                with suppress(StoreError):
                    await self._store.purge(caller.key)
            raise

    async def _extend_lock(self, keys: PageKeys, owner: bytes) -> None:
        while True:
            await asyncio.sleep(self._store.lock_seconds / 3)
            with suppress(StoreError):
                await self._store.extend(keys, owner=owner)

    async def _release(
        self, keys: PageKeys, entry: CacheEntry | None, owner: bytes, generation: bytes
    ) -> None:
        page, seconds = None, 0.0
        # A page without a body stands for a 404, which is not shared.
        if entry is not None and entry.body:
            page = self._stored(entry)
            seconds = min(page.fresh_until, page.links_until) - self._clock.wall()
        with suppress(StoreError):
            await self._store.release(keys, page, owner=owner, generation=generation, seconds=seconds)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the background, so that no load waits for the store."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _stored(self, entry: CacheEntry) -> StoredPage:
        # Each process has its own monotonic clock.
        to_wall = self._clock.wall() - self._clock.monotonic()
        return StoredPage(
            body=entry.body,
            rules=asdict(entry.rules),
            asked_at=entry.asked_at + to_wall,
            born_at=entry.born_at + to_wall,
            fresh_until=entry.fresh_until + to_wall,
            revalidate_until=entry.revalidate_until + to_wall,
            stale_until=entry.stale_until + to_wall,
            keep_until=entry.keep_until + to_wall,
            links_until=entry.links_until,
        )

    def _loaded(self, caller: Caller, request: GalleryRequest, stored: StoredPage) -> FetchResult:
        """Raises: StoreError: another version of the gateway wrote the page, and this one cannot read it."""
        try:
            page, rules = parse_page(stored.body), msgspec.convert(stored.rules, CachingRules)
        except (UpstreamContractError, msgspec.ValidationError) as exc:
            raise StoreError("unreadable") from exc
        now = self._clock.monotonic()
        # The page was fetched in the past: clocks that differ do not make it last longer here than there.
        to_monotonic = min(now - self._clock.wall(), now - stored.asked_at)
        entry = CacheEntry(
            request=self._alone.kept_request(caller, request, page),
            body=stored.body,
            project_ids=project_ids_of(page),
            is_unfinished=has_pending_images(page.projects),
            received_bytes=0,
            rules=rules,
            asked_at=stored.asked_at + to_monotonic,
            born_at=stored.born_at + to_monotonic,
            fresh_until=stored.fresh_until + to_monotonic,
            revalidate_until=stored.revalidate_until + to_monotonic,
            stale_until=stored.stale_until + to_monotonic,
            keep_until=stored.keep_until + to_monotonic,
            link_margin_seconds=0.0,
            known_links_until=stored.links_until,
        )
        self._cache.put(caller, entry)
        return FetchResult(entry, page, is_shared=True)
