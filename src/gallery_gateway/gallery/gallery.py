"""The gallery: the cache, the flights and the fetcher of a process, for all callers."""

import asyncio
import math
from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gallery_gateway.clock import Clock
from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import (
    CacheEntry,
    FetchResult,
    ResponseKey,
    WrittenResponse,
    has_pending_images,
)
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.flights import Flight, Flights
from gallery_gateway.gallery.lookup import CachedAnswer, LoadKey, Staleness
from gallery_gateway.gallery.slicing import slice_page
from gallery_gateway.gallery.usage import CacheStatus
from gallery_gateway.upstream.decoding import parse_page
from gallery_gateway.upstream.resilience import Deadline, RateLimitMemory

if TYPE_CHECKING:
    from gallery_gateway.gallery.shared_fetcher import SharedFetcher
    from gallery_gateway.shared.store import PageStore

# Calls in the background for each caller; beyond them, a stale page is fetched like a miss.
_MAX_REVALIDATIONS = 16

# A page whose revalidation has failed is tried again after this time.
_RETRY_SECONDS = 1.0

# Where answers come from whose page has answered others, too.
_CACHED = frozenset({CacheStatus.HIT, CacheStatus.STALE})
_USED_AGAIN = _CACHED | {CacheStatus.COLLAPSED}

# Without traffic, nothing else removes expired pages.
_SWEEP_SECONDS = 10.0


class LoadResult(Struct, frozen=True):
    """The answer to a load, and where it came from.

    Args:
        read: a page, or a project or `None`, with the fields that the load's decoder reads; `None` if there
            is a response.
        staleness: `None` if the answer was fresh.
        is_complete: whether `read` has all fields; only a page may lack some.
        response: what the key's writer wrote when the page was fetched, or `None`.
    """

    gallery: "Gallery"
    caller_key: CallerKey
    key: LoadKey
    read: Any
    entry: CacheEntry
    status: CacheStatus
    staleness: Staleness | None = None
    is_complete: bool = True
    response: WrittenResponse | None = None

    @property
    def value(self) -> Any:
        """The answer with all fields."""
        if self.is_complete:
            return self.read
        page = self.gallery.cache.read(self.entry)
        if self.status not in _CACHED:
            return page
        # It could be cut when only the fields of the plan were read.
        return slice_page(page, of=self.entry.request, to=self.key.request)

    def recall(self, writer: Hashable) -> "tuple[bytes, CachedResponse | None] | None":
        """Return the response that this writer wrote from the answer before, if there is one.

        One that was written when the page was fetched is kept from now on, as `remember` says.
        """
        response = self.response or self.entry.responses.get(ResponseKey(writer, self.key.request))
        if response is None:
            return None
        return response.body, self.remember(writer, response.body, response.images)

    def remember(self, writer: Hashable, body: bytes, images: int) -> "CachedResponse | None":
        """Keep a response with its page, if the page is used more than once: it may well be used again.

        Return what repeats it, if the next request would be answered from the same entry.
        """
        if self.status not in _USED_AGAIN:
            return None
        entry, key, cache = self.entry, ResponseKey(writer, self.key.request), self.gallery.cache
        if key not in entry.responses:
            is_unfinished = entry.is_unfinished
            if is_unfinished and self.response is None:
                # Perhaps only a part of the page is.
                is_unfinished = has_pending_images(getattr(self.read, "projects", [self.read]))
            cache.remember(self.caller_key, entry, key, WrittenResponse(body, images, is_unfinished))
        if entry.request != self.key.request or key not in entry.responses:
            return None
        return CachedResponse(key, self.key.needs_links, self.caller_key, cache, self.gallery.clock)


class CachedResponse(Struct, frozen=True):
    """A response that is kept with its page, for as long as the page is kept and fresh.

    Args:
        key: what the response is kept under.
    """

    key: ResponseKey
    needs_links: bool
    caller_key: CallerKey
    cache: PageCache
    clock: Clock

    def get(self) -> tuple[bytes, float, float] | None:
        """Return the response, its remaining freshness and its age, both in seconds; `None` once it ended."""
        entry = self.cache.use(self.caller_key, self.key.request)
        if entry is None:
            return None
        response = entry.responses.get(self.key)
        remaining_seconds = entry.remaining_seconds(self.clock, needs_links=self.needs_links)
        if response is None or remaining_seconds <= 0:
            return None
        return response.body, remaining_seconds, entry.age_seconds(self.clock)


class Gallery:
    """Pages of the REST API, each fetched once while it is fresh."""

    def __init__(
        self,
        *,
        fetcher: "PageFetcher | SharedFetcher",
        cache: PageCache,
        rate_limits: RateLimitMemory,
        clock: Clock,
        store: "PageStore | None" = None,
        sweep_seconds: float = _SWEEP_SECONDS,
    ) -> None:
        self.cache = cache
        self.clock = clock
        self.rate_limits = rate_limits
        self.flights = Flights()
        self._fetcher = fetcher
        self._store = store
        self._sweep_seconds = sweep_seconds
        self._sweeping: asyncio.Task[None] | None = None
        self._revalidations: Counter[CallerKey] = Counter()

    @property
    def is_sharing(self) -> bool | None:
        """Whether pages are shared with other processes at present; `None` without a shared cache."""
        return None if self._store is None else self._store.is_available

    async def join(
        self, flight: Flight, caller: Caller, key: LoadKey, *, until: float | None
    ) -> LoadResult | None:
        """Wait for a flight that covers the key; return `None` if its page cannot answer after all.

        Raises:
            GatewayError: the call failed, or `until` passed.
        """
        flight.join(until)
        fetched = await flight.land(until)
        if flight.request == key.request:
            return self._result(caller, key, fetched, CacheStatus.COLLAPSED)
        # Only a complete page can be sliced.
        sliced = slice_page(fetched.read(parse_page), of=flight.request, to=key.request)
        if sliced is None:
            return None
        return LoadResult(self, caller.key, key, sliced, fetched.entry, CacheStatus.COLLAPSED)

    async def fetch(
        self, caller: Caller, key: LoadKey, *, bypass_cache: bool = False, until: float | None = None
    ) -> LoadResult:
        """Fetch the page in a flight of its own.

        Raises:
            GatewayError: the call failed, or `until` passed, in the loop's seconds.
        """
        deadline = None if until is None else Deadline(until)
        call = self._fetcher.fetch(
            caller,
            key.request,
            deadline=deadline,
            bypass_cache=bypass_cache,
            decoder=key.decoder,
            writer=key.writer,
        )
        forced_at = self.clock.monotonic() if bypass_cache else -math.inf
        flight = self.flights.start(caller.key, key.request, call, deadline=deadline, forced_at=forced_at)
        fetched = await flight.land(until)
        fetched.entry.is_forced = bypass_cache
        status = CacheStatus.SHARED if fetched.is_shared else CacheStatus.MISS
        return self._result(caller, key, fetched, status)

    def revalidate(self, caller: Caller, key: LoadKey, answer: CachedAnswer) -> bool:
        """Fetch the page of a stale answer in the background; return whether a call is under way.

        There is none if the caller has too many, or if the last one has just failed.
        """
        if self.flights.find(caller.key, key.request) is not None:
            return True
        failure = answer.entry.failure
        has_just_failed = failure is not None and self.clock.monotonic() - failure[1] < _RETRY_SECONDS
        if has_just_failed or self._revalidations[caller.key] >= _MAX_REVALIDATIONS:
            return False
        flight = self.flights.start(caller.key, key.request, self._revalidate(caller, key))
        self._revalidations[caller.key] += 1
        flight.task.add_done_callback(lambda _task: self._end_revalidation(caller.key))
        return True

    async def open(self) -> None:
        if self._store is not None:
            await self._store.open()
        self._sweeping = asyncio.create_task(self._sweep())

    async def aclose(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.flights.aclose()
        await self._fetcher.aclose()
        if self._store is not None:
            await self._store.aclose()

    def _result(self, caller: Caller, key: LoadKey, fetched: FetchResult, status: CacheStatus) -> LoadResult:
        """Return the result of a fetch for exactly the key's request."""
        if fetched.writer is not None and fetched.writer is key.writer:
            read, response, is_complete = None, fetched.response, False
        else:
            read, response = fetched.read(key.decoder), None
            is_complete = fetched.decoder is parse_page
        return LoadResult(
            self, caller.key, key, read, fetched.entry, status, is_complete=is_complete, response=response
        )

    async def _revalidate(self, caller: Caller, key: LoadKey) -> FetchResult:
        try:
            return await self._fetcher.fetch(caller, key.request)
        except GatewayError as exc:
            if exc.consequences.allows_stale:
                self.cache.note_failure(caller, key, exc.code)
            raise

    def _end_revalidation(self, caller_key: CallerKey) -> None:
        self._revalidations[caller_key] -= 1
        if not self._revalidations[caller_key]:
            del self._revalidations[caller_key]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            self.cache.remove_expired()
