"""The page cache: entries by caller and request, within a budget for all callers and a quota for each."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from cachetools import Cache, TLRUCache, TTLCache

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import CacheEntry
from gallery_gateway.gallery.lookup import (
    ACCEPTS_ALL,
    MISS,
    Accepts,
    Fresh,
    LoadKey,
    Miss,
    StaleWhileRevalidate,
    decide,
)
from gallery_gateway.gallery.request import GalleryRequest

_Key = tuple[CallerKey, GalleryRequest]

# Measured by tests/benchmarks/memory.py: the values of a parsed page, beside its JSON; for any page its key,
# its indexes and the cache's own records; and for each of its projects the place in the index of projects.
_PARSED_BYTES_PER_JSON_BYTE = 1.4
_ENTRY_BYTES = 3072
_PROJECT_BYTES = 80

# A lookup tries this many sizes of pages in a list, the most recently fetched first. Clients use a few; the
# bound keeps a lookup from growing with what is cached.
_MAX_SHAPES = 16

# A fetch that began before a purge can end this much later: the longest total timeout of a call.
_LONGEST_CALL_SECONDS = 600.0
_MAX_PURGED = 10_000

# Responses kept with a page. Few operations select from the same page.
_MAX_RENDERED = 8


class PageCache:
    """Pages until their time is over; the least recently used go first when the budget is used up.

    Args:
        max_bytes: memory for all pages.
        caller_max_bytes: memory for the pages of one caller, so that no caller evicts all others.
    """

    def __init__(self, *, max_bytes: int, caller_max_bytes: int, clock: Clock) -> None:
        self._clock = clock
        self._entry_max_bytes = min(max_bytes, caller_max_bytes)
        self._caller_max_bytes = caller_max_bytes
        self._callers: dict[CallerKey, CallerIndex] = {}
        self._purged_at: TTLCache[CallerKey, float] = TTLCache(
            _MAX_PURGED, _LONGEST_CALL_SECONDS, timer=clock.monotonic
        )
        self._entries = _Entries(max_bytes, clock.monotonic, self._forget)

    @property
    def size_bytes(self) -> float:
        """The memory of all pages, including expired ones not yet removed; safe to read from any thread."""
        return self._entries.stored_bytes

    @property
    def max_bytes(self) -> float:
        return self._entries.maxsize

    def __len__(self) -> int:
        """Return the number of pages that `size_bytes` counts; safe to call from any thread."""
        return self._entries.stored

    def lookup(
        self, caller: Caller, key: LoadKey, accepts: Accepts = ACCEPTS_ALL, *, failed: str | None = None
    ) -> Fresh | StaleWhileRevalidate | Miss:
        """Answer a load from the caller's pages, as `decide` says; the page that answers counts as used."""
        return self.lookup_all(caller, [key], accepts, failed=failed)[0]

    def lookup_all(
        self,
        caller: Caller,
        keys: Sequence[LoadKey],
        accepts: Accepts = ACCEPTS_ALL,
        *,
        failed: str | None = None,
    ) -> list[Fresh | StaleWhileRevalidate | Miss]:
        """Answer several loads, each page parsed once for all of them."""
        index = self._callers.get(caller.key)
        if index is None:
            return [MISS] * len(keys)
        now, wall_now = self._clock.monotonic(), self._clock.wall()
        results: list[Fresh | StaleWhileRevalidate | Miss] = []
        examined: dict[int, CacheEntry] = {}
        for key in keys:
            entries = list(index.candidates(key))
            found = (
                decide(key, entries, accepts, now=now, wall_now=wall_now, failed=failed) if entries else MISS
            )
            answer = found.fallback if isinstance(found, Miss) else found.answer
            if answer is not None:
                self.touch(caller.key, answer.entry)
            examined |= {id(entry): entry for entry in entries}
            results.append(found)
        for entry in examined.values():
            if weigh(entry) > entry.weight_bytes:
                self._account(caller.key, entry)
        return results

    def note_failure(self, caller: Caller, key: LoadKey, code: str) -> None:
        """Record that the call for this load failed, so that the next loads do not wait for one."""
        index = self._callers.get(caller.key)
        for entry in index.candidates(key) if index is not None else ():
            entry.failure = code, self._clock.monotonic()

    def revalidatable(self, caller: Caller, request: GalleryRequest) -> CacheEntry | None:
        """Return the entry of exactly this request if its ETag can revalidate it.

        An entry with expired links cannot: "not modified" would bring no new links.
        """
        entry = self._entries.get((caller.key, request))
        if entry is None or not entry.rules.etag or entry.links_until <= self._clock.wall():
            return None
        return entry

    def put(self, caller: Caller, entry: CacheEntry) -> None:
        """Keep an entry until `keep_until`; one that is larger than the budget is not kept."""
        # The cache's clock stands still meanwhile, so that no entry expires halfway.
        with self._entries.timer as now:
            self._entries.expire(now)
            index = self._callers.get(caller.key)
            previous = index and index.get(entry.request)
            if previous:
                self._remove(caller.key, previous)
                # A later call may have landed first.
                entry = max(entry, previous, key=lambda each: each.asked_at)
            entry.weight_bytes = weigh(entry)
            is_purged = entry.asked_at < self._purged_at.get(caller.key, -math.inf)
            if is_purged or entry.weight_bytes > self._entry_max_bytes or entry.keep_until <= now:
                return
            self._make_room(caller.key, entry.weight_bytes)
            self._entries[caller.key, entry.request] = entry
            self._callers.setdefault(caller.key, CallerIndex()).add(entry)

    def remove_expired(self) -> None:
        """Remove expired pages, as `put` does."""
        self._entries.expire()

    def remember(self, caller_key: CallerKey, entry: CacheEntry, key: Hashable, rendered: bytes) -> None:
        """Keep a response that was written from an entry, within the same budget."""
        if len(entry.rendered) >= _MAX_RENDERED or not self.touch(caller_key, entry):
            return
        if entry.weight_bytes + len(rendered) <= self._entry_max_bytes:
            entry.rendered[key] = rendered
            self._account(caller_key, entry)

    def touch(self, caller_key: CallerKey, entry: CacheEntry) -> bool:
        """Count the entry as used; return whether it is still kept: not replaced, evicted or purged."""
        if self._entries.get((caller_key, entry.request)) is not entry:
            return False
        self._callers[caller_key].touch(entry)
        return True

    def purge(self, caller_key: CallerKey) -> None:
        """Forget all pages of a caller, and those of its fetches that have begun by now."""
        self._purged_at[caller_key] = self._clock.monotonic()
        while (index := self._callers.get(caller_key)) is not None:
            self._remove(caller_key, index.least_recent)

    def purge_all(self) -> None:
        for caller_key in list(self._callers):
            self.purge(caller_key)

    def _account(self, caller_key: CallerKey, entry: CacheEntry) -> None:
        """Account for an entry that grew; one that grew too heavy drops its parsed page."""
        # As in `put`, the clock stands still.
        with self._entries.timer:
            if weigh(entry) > self._entry_max_bytes:
                entry.parsed = None
            elif self.touch(caller_key, entry):
                grown = weigh(entry) - entry.weight_bytes
                self._make_room(caller_key, grown)
                self._callers[caller_key].size_bytes += grown
                entry.weight_bytes += grown
                self._entries[caller_key, entry.request] = entry

    def _make_room(self, caller_key: CallerKey, weight_bytes: int) -> None:
        while index := self._callers.get(caller_key):
            if index.size_bytes + weight_bytes <= self._caller_max_bytes:
                return
            self._remove(caller_key, index.least_recent)

    def _remove(self, caller_key: CallerKey, entry: CacheEntry) -> None:
        # cachetools deletes an expired item and raises KeyError.
        with suppress(KeyError):
            del self._entries[caller_key, entry.request]

    def _forget(self, caller_key: CallerKey, entry: CacheEntry) -> None:
        index = self._callers[caller_key]
        index.remove(entry)
        if not index:
            del self._callers[caller_key]


def weigh(entry: CacheEntry) -> int:
    """Return the memory of an entry, in bytes."""
    parsed_bytes = 0 if entry.parsed is None else int(_PARSED_BYTES_PER_JSON_BYTE * len(entry.body))
    own_bytes = _ENTRY_BYTES + _PROJECT_BYTES * len(entry.project_ids)
    return own_bytes + len(entry.body) + parsed_bytes + sum(map(len, entry.rendered.values()))


class _Entries(TLRUCache[_Key, CacheEntry]):
    """cachetools' cache, which also reports the entries that it removes."""

    def __init__(
        self, max_bytes: int, timer: Callable[[], float], on_removed: Callable[[CallerKey, CacheEntry], None]
    ) -> None:
        super().__init__(
            max_bytes, lambda _key, entry, _now: entry.keep_until, timer, lambda entry: entry.weight_bytes
        )
        self._on_removed = on_removed

    # TLRUCache's own `currsize` and `len` remove expired entries, which another thread must not do.

    @property
    def stored(self) -> int:
        return Cache.__len__(self)

    @property
    def stored_bytes(self) -> float:
        return float(Cache.currsize.__get__(self))

    def expire(self, time: float | None = None) -> list[tuple[_Key, CacheEntry]]:
        removed = list(super().expire(time))
        for (caller_key, _), entry in removed:
            self._on_removed(caller_key, entry)
        return removed

    def __delitem__(self, key: _Key) -> None:
        entry = Cache.__getitem__(self, key)
        try:
            super().__delitem__(key)
        finally:
            self._on_removed(key[0], entry)


_Shape = tuple[int, int]
"""Size of a page and cap of images."""


class CallerIndex:
    """The entries of one caller, found without looking at all of them; `size_bytes` is their weight.

    A page that holds the window of another is found by arithmetic: of each size of pages, only one can hold
    it. A project is found, for each cap of images, on the page that was fetched last.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: OrderedDict[GalleryRequest, CacheEntry] = OrderedDict()
        self._pages: dict[Hashable, dict[_Shape, dict[int, CacheEntry]]] = {}
        self._projects: dict[Hashable, dict[int, dict[int | None, CacheEntry]]] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def least_recent(self) -> CacheEntry:
        return next(iter(self._entries.values()))

    def get(self, request: GalleryRequest) -> CacheEntry | None:
        return self._entries.get(request)

    def touch(self, entry: CacheEntry) -> None:
        self._entries.move_to_end(entry.request)

    def candidates(self, key: LoadKey) -> Iterator[CacheEntry]:
        """Yield the entry of exactly this request, then others that may hold the answer."""
        exact = self._entries.get(key.request)
        if exact is not None:
            yield exact
        others = self._with_project(key.request) if key.is_project else self._with_window(key.request)
        for entry in others:
            if entry is not exact:
                yield entry

    def add(self, entry: CacheEntry) -> None:
        request = entry.request
        self._entries[request] = entry
        self.size_bytes += entry.weight_bytes
        shapes = self._pages.setdefault(request.listing, {})
        shape = request.per_page, request.max_images_per_project
        # Taken out and put in again, so that the most recent shape is the last one.
        pages = shapes.pop(shape, {})
        pages[request.page] = entry
        shapes[shape] = pages
        caps = self._projects.setdefault(request.images, {})
        projects = caps.pop(request.max_images_per_project, {})
        projects.update(dict.fromkeys(entry.project_ids, entry))
        caps[request.max_images_per_project] = projects

    def remove(self, entry: CacheEntry) -> None:
        request = entry.request
        del self._entries[request]
        self.size_bytes -= entry.weight_bytes
        shapes = self._pages[request.listing]
        shape = request.per_page, request.max_images_per_project
        del shapes[shape][request.page]
        _prune(self._pages, request.listing, shape)
        projects = self._projects.get(request.images, {}).get(request.max_images_per_project, {})
        for project_id in entry.project_ids:
            if projects.get(project_id) is entry:
                del projects[project_id]
        _prune(self._projects, request.images, request.max_images_per_project)

    def _with_window(self, request: GalleryRequest) -> Iterator[CacheEntry]:
        start = (request.page - 1) * request.per_page
        shapes = self._pages.get(request.listing, {})
        for (per_page, _), pages in islice(reversed(shapes.items()), _MAX_SHAPES):
            page = start // per_page + 1
            entry = pages.get(page)
            if entry is not None and page * per_page >= start + request.per_page:
                yield entry

    def _with_project(self, request: GalleryRequest) -> Iterator[CacheEntry]:
        caps = self._projects.get(request.images, {})
        for projects in islice(reversed(caps.values()), _MAX_SHAPES):
            entry = projects.get(request.project_id)
            if entry is not None:
                yield entry


_Inner = TypeVar("_Inner")
_Found = TypeVar("_Found")


def _prune(
    index: dict[Hashable, dict[_Inner, dict[_Found, CacheEntry]]], outer: Hashable, inner: _Inner
) -> None:
    """Delete an inner dictionary that is empty, and then an outer one that is."""
    inners = index.get(outer, {})
    if not inners.get(inner):
        inners.pop(inner, None)
    if not inners:
        index.pop(outer, None)
