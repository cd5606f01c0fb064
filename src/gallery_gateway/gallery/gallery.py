"""The gallery: a page for a caller, from the cache, from a flight, or from upstream."""

import asyncio
import weakref
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gallery_gateway.clock import Clock
from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import CacheEntry, FetchResult
from gallery_gateway.gallery.fetcher import Fetcher
from gallery_gateway.gallery.flights import Flights
from gallery_gateway.gallery.lookup import LoadKey, StaleAnswer, Staleness, StalePages
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import slice_page
from gallery_gateway.gallery.usage import CacheStatus
from gallery_gateway.upstream.contract import Page, UpstreamProject
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.resilience import Deadline

Value = TypeVar("Value", Page, UpstreamProject | None)


@dataclass(frozen=True, slots=True)
class LoadResult(Generic[Value]):
    """What answers a request, the entry it was got from, and how that was come by.

    Args:
        read: what answers it, with all that was to be read of it.
        staleness: of an answer that was not fresh.
        is_complete: whether that is all that there is.
    """

    request: GalleryRequest
    read: Value
    entry: CacheEntry
    outcome: CacheStatus
    needs_links: bool
    staleness: Staleness | None = None
    is_complete: bool = True

    @property
    def value(self) -> Value:
        """What answers the request, whole."""
        if self.is_complete:
            return self.read
        page: Any = self.entry.page
        return page  # type: ignore[no-any-return]  # only pages are read in part

    def recall(self, writer: Hashable) -> bytes | None:
        """What it was written as by this writer, if that is remembered."""
        return self.entry.rendered.get((writer, self.request))


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """What a delivery was written as, for as long as its page is kept and fresh."""

    key: Hashable
    entry: "weakref.ref[CacheEntry]"
    needs_links: bool
    caller_key: CallerKey
    cache: PageCache
    clock: Clock

    def get(self) -> tuple[bytes, float, float] | None:
        """It, with the seconds for which it may still be used, and its age in seconds; None from then on."""
        entry = self.entry()
        if entry is None or not self.cache.is_kept(self.caller_key, entry):
            return None
        rendered = entry.rendered.get(self.key)
        remaining_seconds = entry.remaining_seconds(self.clock, needs_links=self.needs_links)
        if rendered is None or remaining_seconds <= 0:
            return None
        return rendered, remaining_seconds, entry.age_seconds(self.clock)


# Without traffic, nothing else removes expired pages.
_SWEEP_SECONDS = 10.0


class Gallery:
    """Pages of the endpoint, each fetched once while it is fresh; for the life of a process."""

    def __init__(
        self, *, fetcher: Fetcher, cache: PageCache, clock: Clock, sweep_seconds: float = _SWEEP_SECONDS
    ) -> None:
        self.clock = clock
        self._sweep_seconds = sweep_seconds
        self._sweeping: asyncio.Task[None] | None = None
        self._fetcher = fetcher
        self._cache = cache
        self._flights: Flights[Caller, GalleryRequest, FetchResult] = Flights()
        self._stale = StalePages(cache=cache, fetcher=fetcher, flights=self._flights, clock=clock)

    @property
    def is_sharing(self) -> bool | None:
        """Whether pages are shared with other processes; None if they are not meant to be."""
        return self._fetcher.is_sharing

    @property
    def next_flight(self) -> int:
        """The number that the next flight will bear: `since` for those who want none that is under way."""
        return self._flights.started

    def get_page(
        self, caller: Caller, request: GalleryRequest, *, needs_links: bool
    ) -> LoadResult[Page] | None:
        """The answer out of the cache, if a fresh page holds it."""
        found = self._cache.find(caller, request, needs_links=needs_links)
        return found and LoadResult(request, found[1], found[0], CacheStatus.HIT, needs_links)

    def get_project(
        self, caller: Caller, request: GalleryRequest, *, needs_links: bool
    ) -> LoadResult[UpstreamProject | None] | None:
        """The project that the request names, if a fresh page tells of it with images enough."""
        found = self._cache.find_project(caller, request, needs_links=needs_links)
        return found and LoadResult(request, found[1], found[0], CacheStatus.HIT, needs_links)

    def get_projects(
        self, caller: Caller, requests: Mapping[int, GalleryRequest], *, needs_links: bool
    ) -> dict[int, LoadResult[UpstreamProject | None]]:
        """Likewise for many by their numbers, which differ in nothing else."""
        found = self._cache.find_projects(caller, requests, needs_links=needs_links)
        return {
            number: LoadResult(requests[number], project, entry, CacheStatus.HIT, needs_links)
            for number, (entry, project) in found.items()
        }

    def get_stale(
        self, caller: Caller, load_key: LoadKey, *, if_error_seconds: float
    ) -> LoadResult[Any] | None:
        """What a page past its freshness says, if that need not be waited for; see `StalePages.get`.

        `if_error_seconds` is how long past its freshness a page will do, where upstream fails.
        """
        return _stale(load_key, self._stale.get(caller, load_key, if_error_seconds=if_error_seconds))

    def get_after(
        self, error: GatewayError, caller: Caller, load_key: LoadKey, *, if_error_seconds: float
    ) -> LoadResult[Any] | None:
        """The same, after a call has failed."""
        return _stale(
            load_key, self._stale.get_after(error, caller, load_key, if_error_seconds=if_error_seconds)
        )

    def remember(self, caller: Caller, result: LoadResult[Any], writer: Hashable, rendered: bytes) -> None:
        """Keeps what a delivery was written as, once it was come by twice."""
        if result.outcome is CacheStatus.HIT or result.outcome is CacheStatus.STALE:
            self._cache.remember(caller, result.entry, (writer, result.request), rendered)

    def kept(self, caller: Caller, result: LoadResult[Any], writer: Hashable) -> CachedResponse | None:
        """What is remembered of a delivery, if the next request would find just the same entry."""
        key = writer, result.request
        if result.entry.request != result.request or key not in result.entry.rendered:
            return None
        entry = weakref.ref(result.entry)
        return CachedResponse(key, entry, result.needs_links, caller.key, self._cache, self.clock)

    def is_under_way(self, caller: Caller, request: GalleryRequest, *, since: int) -> bool:
        return self._flights.find(caller, request, since=since) is not None

    async def join_page(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        needs_links: bool,
        read: PageDecoder = parse_page,
        since: int = 0,
        until: float | None = None,
    ) -> LoadResult[Page] | None:
        """The answer out of calls that are under way; None if none of them holds it.

        They go on until `until` at least, in the loop's seconds, and are waited for as long.

        Raises:
            GatewayError: upstream gave no page, or not by then.
        """
        while (flight := self._flights.find(caller, request, since=since)) is not None:
            flight.join(until)
            fetched = await flight.land(until)
            # A slice is taken of a whole page.
            page = fetched.read(read if flight.question == request else parse_page)
            sliced = slice_page(page, of=flight.question, to=request)
            if sliced is not None:
                return _delivered(request, sliced, fetched, CacheStatus.COLLAPSED, needs_links=needs_links)
            # Others may have waited for nothing too, and have asked meanwhile.
            since = flight.number + 1
        return None

    async def fetch_page(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        needs_links: bool,
        read: PageDecoder = parse_page,
        skips_cache: bool = False,
        until: float | None = None,
    ) -> LoadResult[Page]:
        """The answer out of a call of its own, or of another process.

        Raises:
            GatewayError: upstream gave no page, or not by `until`, in the loop's seconds.
        """
        deadline = None if until is None else Deadline(until)
        flight = self._flights.start(
            caller,
            request,
            lambda: self._fetcher.fetch(
                caller, request, deadline=deadline, skips_cache=skips_cache, read=read
            ),
            deadline=deadline,
        )
        fetched = await flight.land(until)
        outcome = CacheStatus.SHARED if fetched.is_shared else CacheStatus.MISS
        return _delivered(request, fetched.read(read), fetched, outcome, needs_links=needs_links)

    async def open(self) -> None:
        await self._fetcher.open()
        self._sweeping = asyncio.create_task(self._sweep())

    async def aclose(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._flights.aclose()
        await self._fetcher.aclose()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            self._cache.remove_expired()


def _delivered(
    request: GalleryRequest, page: Page, fetched: FetchResult, outcome: CacheStatus, *, needs_links: bool
) -> LoadResult[Page]:
    return LoadResult(request, page, fetched.entry, outcome, needs_links, is_complete=fetched.is_complete)


def _stale(load_key: LoadKey, found: StaleAnswer | None) -> LoadResult[Any] | None:
    if found is None:
        return None
    return LoadResult(
        load_key.request,
        found.value,
        found.entry,
        CacheStatus.STALE,
        load_key.needs_links,
        staleness=found.staleness,
    )
