"""The page cache: entries by caller and request, within a budget for all callers and a quota for each.

cachetools' `TLRUCache` was used before: its heap compares times to live in Python, and the garbage collector
tracked eleven objects for a page of a new caller, where this file needs three, and none for a further page.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice

from cachetools import TTLCache

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import CacheEntry, ResponseKey, WrittenResponse
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
from gallery_gateway.upstream.contract import Page

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

# For so long after a page that showed another size than the requested one, no page is cut out of another.
_RESIZED_SECONDS = 600.0

# Responses kept with a page. An app sends a few dozen operations, of which not all select from the same page.
_MAX_RESPONSES = 32


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
        timer = clock.monotonic
        self._purged_at: TTLCache[CallerKey, float] = TTLCache(_MAX_PURGED, _LONGEST_CALL_SECONDS, timer)
        # Pages requested later, which nearly all are, need no look at the purged callers.
        self._last_purge = -math.inf
        # The least recently used entry is the first.
        self._entries: OrderedDict[CacheEntry, CallerIndex] = OrderedDict()
        self._expiring = _ExpiringEntries()
        self.max_bytes = max_bytes
        # The memory of all pages, including expired ones not yet removed; any thread may read it.
        self.size_bytes = 0
        self._resized: TTLCache[CallerKey, bool] = TTLCache(_MAX_PURGED, _RESIZED_SECONDS, timer)
        self._may_be_resized = False

    def __len__(self) -> int:
        """Return the number of pages that `size_bytes` counts; safe to call from any thread."""
        return len(self._entries)

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
                self._touch(answer.entry)
            examined |= {id(entry): entry for entry in entries}
            results.append(found)
        for entry in examined.values():
            if weigh(entry) > entry.weight_bytes:
                self._account(index, entry)
        return results

    def read(self, entry: CacheEntry) -> Page:
        """Return the complete page of an entry, which is kept parsed within the same budget."""
        page, index = entry.read(), self._entries.get(entry)
        if index is not None and weigh(entry) > entry.weight_bytes:
            self._account(index, entry)
        return page

    def note_resized(self, caller_key: CallerKey) -> None:
        """Record that the REST API answered this caller a page of another size than requested."""
        self._resized[caller_key] = self._may_be_resized = True

    def is_sized(self, caller_key: CallerKey) -> bool:
        """Return whether no page of this caller has shown another size than requested."""
        return not self._may_be_resized or caller_key not in self._resized

    def note_failure(self, caller: Caller, key: LoadKey, code: str) -> None:
        """Record that the call for this load failed, so that the next loads do not wait for one."""
        index = self._callers.get(caller.key)
        for entry in index.candidates(key) if index is not None else ():
            entry.failure = code, self._clock.monotonic()

    def revalidatable(self, caller: Caller, request: GalleryRequest) -> CacheEntry | None:
        """Return the entry of exactly this request if its ETag can revalidate it.

        An entry with expired links cannot: "not modified" would bring no new links.
        """
        index = self._callers.get(caller.key)
        entry = index.entries.get(request) if index is not None else None
        if entry is None or not entry.rules.etag or entry.keep_until <= self._clock.monotonic():
            return None
        return None if entry.links_until <= self._clock.wall() else entry

    def put(self, caller: Caller, entry: CacheEntry) -> None:
        """Keep an entry until `keep_until`; one that is larger than the budget is not kept."""
        now = self._clock.monotonic()
        self._expire(now)
        index = self._callers.get(caller.key)
        previous = index.entries.get(entry.request) if index is not None else None
        if previous is not None:
            self._remove(previous)
            # A later call may have landed first.
            if previous.asked_at > entry.asked_at:
                entry = previous
        entry.weight_bytes = weigh(entry)
        may_be_purged = entry.asked_at < self._last_purge
        is_purged = may_be_purged and entry.asked_at < self._purged_at.get(caller.key, -math.inf)
        if is_purged or entry.weight_bytes > self._entry_max_bytes or entry.keep_until <= now:
            return
        self._make_room(index, entry.weight_bytes)
        index = self._callers.get(caller.key)
        if index is None:
            index = self._callers[caller.key] = CallerIndex(caller.key)
        index.add(entry)
        self._entries[entry] = index
        self._expiring.add(entry)
        self.size_bytes += entry.weight_bytes

    def remove_expired(self) -> None:
        """Remove expired pages, as `put` does."""
        self._expire(self._clock.monotonic())

    def remember(
        self, caller_key: CallerKey, entry: CacheEntry, key: ResponseKey, response: WrittenResponse
    ) -> None:
        """Keep a response that was written from an entry, within the same budget."""
        if len(entry.responses) >= _MAX_RESPONSES or self.use(caller_key, entry.request) is not entry:
            return
        if entry.weight_bytes + len(response.body) <= self._entry_max_bytes:
            entry.responses[key] = response
            self._account(self._entries[entry], entry)

    def use(self, caller_key: CallerKey, request: GalleryRequest) -> CacheEntry | None:
        """Return the entry of exactly this request, which counts as used; `None` if it is not kept."""
        index = self._callers.get(caller_key)
        entry = index.entries.get(request) if index is not None else None
        if entry is not None:
            self._touch(entry)
        return entry

    def purge(self, caller_key: CallerKey) -> None:
        """Forget all pages of a caller, and those of its fetches that have begun by now."""
        self._purged_at[caller_key] = self._last_purge = self._clock.monotonic()
        index = self._callers.get(caller_key)
        while index is not None and index.entries:
            self._remove(next(iter(index.entries.values())))

    def purge_all(self) -> None:
        for caller_key in list(self._callers):
            self.purge(caller_key)

    def _expire(self, now: float) -> None:
        for entry in self._expiring.due(now):
            self._remove(entry)

    def _touch(self, entry: CacheEntry) -> None:
        self._entries.move_to_end(entry)
        self._entries[entry].entries.move_to_end(entry.request)

    def _account(self, index: "CallerIndex", entry: CacheEntry) -> None:
        """Account for an entry that grew; one that grew too heavy drops its parsed page."""
        if weigh(entry) > self._entry_max_bytes:
            entry.parsed = None
        elif entry in self._entries:
            # The last one to be evicted.
            self._touch(entry)
            grown_bytes = weigh(entry) - entry.weight_bytes
            self._make_room(index, grown_bytes)
            entry.weight_bytes += grown_bytes
            index.size_bytes += grown_bytes
            self.size_bytes += grown_bytes

    def _make_room(self, index: "CallerIndex | None", weight_bytes: int) -> None:
        while index is not None and index.size_bytes + weight_bytes > self._caller_max_bytes:
            self._remove(next(iter(index.entries.values())))
        while self.size_bytes + weight_bytes > self.max_bytes:
            self._remove(next(iter(self._entries)))

    def _remove(self, entry: CacheEntry) -> None:
        index = self._entries.pop(entry)
        self._expiring.remove(entry)
        self.size_bytes -= entry.weight_bytes
        index.remove(entry)
        if not index.entries:
            del self._callers[index.caller_key]


def weigh(entry: CacheEntry) -> int:
    """Return the memory of an entry, in bytes."""
    parsed_bytes = 0 if entry.parsed is None else int(_PARSED_BYTES_PER_JSON_BYTE * len(entry.body))
    own_bytes = _ENTRY_BYTES + _PROJECT_BYTES * len(entry.project_ids)
    responses_bytes = sum([len(response.body) for response in entry.responses.values()])
    return own_bytes + len(entry.body) + parsed_bytes + responses_bytes


class _ExpiringEntries:
    """Entries by the second in which they expire, rounded up."""

    def __init__(self) -> None:
        self._by_second: dict[int, dict[CacheEntry, None]] = {}
        self._seconds: list[int] = []

    def add(self, entry: CacheEntry) -> None:
        second = math.ceil(entry.keep_until)
        if second not in self._by_second:
            self._by_second[second] = {}
            heappush(self._seconds, second)
        self._by_second[second][entry] = None

    def remove(self, entry: CacheEntry) -> None:
        # An empty second stays until it is due, so that each is in the heap once.
        del self._by_second[math.ceil(entry.keep_until)][entry]

    def due(self, now: float) -> Iterator[CacheEntry]:
        """Yield the entries that have expired, which are then removed."""
        while self._seconds and self._seconds[0] <= now:
            yield from list(self._by_second[self._seconds[0]])
            del self._by_second[heappop(self._seconds)]


_Shape = tuple[int, int]
"""Size of a page and cap of images."""


class CallerIndex:
    """The entries of one caller, found without looking at all of them; `size_bytes` is their weight.

    A page that holds the window of another is found by arithmetic: of each size of pages, only one can hold
    it. A project is found, for each cap of images, on the page that was fetched last. The first entry is not
    put into these indexes before they are read: many callers never come back.
    """

    __slots__ = ("_pages", "_projects", "_unindexed", "caller_key", "entries", "size_bytes")

    def __init__(self, caller_key: CallerKey) -> None:
        self.caller_key = caller_key
        self.size_bytes = 0
        self.entries: OrderedDict[GalleryRequest, CacheEntry] = OrderedDict()
        self._pages: dict[Hashable, dict[_Shape, dict[int, CacheEntry]]] = {}
        self._projects: dict[Hashable, dict[int, dict[int | None, CacheEntry]]] = {}
        self._unindexed: CacheEntry | None = None

    def candidates(self, key: LoadKey) -> Iterator[CacheEntry]:
        """Yield the entry of exactly this request, then others that may hold the answer."""
        exact = self.entries.get(key.request)
        if exact is not None:
            yield exact
        self._complete()
        others = self._with_project(key.request) if key.is_project else self._with_window(key.request)
        for entry in others:
            if entry is not exact:
                yield entry

    def add(self, entry: CacheEntry) -> None:
        if self.entries:
            self._complete()
            self._index(entry)
        else:
            self._unindexed = entry
        self.entries[entry.request] = entry
        self.size_bytes += entry.weight_bytes

    def remove(self, entry: CacheEntry) -> None:
        request = entry.request
        del self.entries[request]
        self.size_bytes -= entry.weight_bytes
        if entry is self._unindexed:
            self._unindexed = None
            return
        shape = request.per_page, request.max_images_per_project
        shapes = self._pages[request.listing]
        del shapes[shape][request.page]
        if not shapes[shape]:
            del shapes[shape]
            if not shapes:
                del self._pages[request.listing]
        caps = self._projects.get(request.images, {})
        projects = caps.get(request.max_images_per_project, {})
        for project_id in entry.project_ids:
            if projects.get(project_id) is entry:
                del projects[project_id]
        if not projects:
            caps.pop(request.max_images_per_project, None)
            if not caps:
                self._projects.pop(request.images, None)

    def _complete(self) -> None:
        """Put the first entry into the indexes."""
        if self._unindexed is not None:
            self._index(self._unindexed)
            self._unindexed = None

    def _index(self, entry: CacheEntry) -> None:
        request = entry.request
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
