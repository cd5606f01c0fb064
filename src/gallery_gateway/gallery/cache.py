"""The cache: pages by caller and request, within a budget of bytes for all and a quota for each."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager

from cachetools import Cache, TLRUCache, TTLCache

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import CacheEntry, Use
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import listed_project, slice_page, slice_project, slice_projects
from gallery_gateway.upstream.contract import Page, UpstreamProject

_Key = tuple[CallerKey, GalleryRequest]

# What a page takes in memory, measured by tests/benchmarks/memory.py: the values of one that is kept parsed,
# besides its JSON; and for any page its key, its indexes and the cache's own records.
_PARSED_BYTES_PER_JSON_BYTE = 1.4
_ENTRY_BYTES = 3072


class Entries(TLRUCache[_Key, CacheEntry]):
    """Entries until their time is over; the least recently used go first. It tells what it has removed."""

    def __init__(
        self,
        max_bytes: int,
        timer: Callable[[], float],
        on_removed: Callable[[CallerKey, CacheEntry], None],
    ) -> None:
        super().__init__(max_bytes, lambda _key, entry, _now: entry.keep_until, timer, weigh)
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
        # Past its time, an item is deleted and reported as missing at once (cachetools 8).
        entry = Cache.__getitem__(self, key)
        try:
            super().__delitem__(key)
        finally:
            self._on_removed(key[0], entry)


def weigh(entry: CacheEntry) -> int:
    parsed_bytes = 0 if entry.parsed is None else parsed_bytes_of(entry)
    return _ENTRY_BYTES + len(entry.body) + parsed_bytes + sum(map(len, entry.rendered.values()))


def parsed_bytes_of(entry: CacheEntry) -> int:
    return int(_PARSED_BYTES_PER_JSON_BYTE * len(entry.body))


class CallerIndex:
    """The entries of one caller; `size_bytes` is what they weigh together."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: OrderedDict[GalleryRequest, CacheEntry] = OrderedDict()
        self._by_listing = _Index()
        self._by_images = _Index()

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[GalleryRequest]:
        """From the least recently used on."""
        return iter(list(self._entries))

    def get(self, request: GalleryRequest) -> CacheEntry | None:
        return self._entries.get(request)

    def of_listing(self, request: GalleryRequest, use: Use, now: float) -> list[CacheEntry]:
        """Entries that may hold the answer to the request, from the youngest on."""
        return self._by_listing.get(request.listing, use, now)

    def of_images(self, request: GalleryRequest, use: Use, now: float) -> list[CacheEntry]:
        """Entries whose projects have the images that the request's have, from the youngest on."""
        return self._by_images.get(request.images, use, now)

    def add(self, entry: CacheEntry, *, weight: int) -> None:
        self._entries[entry.request] = entry
        self._by_listing.add(entry.request.listing, entry)
        self._by_images.add(entry.request.images, entry)
        self.size_bytes += weight

    def touch(self, entry: CacheEntry) -> None:
        self._entries.move_to_end(entry.request)

    def remove(self, entry: CacheEntry, *, weight: int) -> None:
        request = entry.request
        del self._entries[request]
        self._by_listing.remove(request.listing, entry)
        self._by_images.remove(request.images, entry)
        self.size_bytes -= weight


class _Index:
    """Entries by a key that many have; what is of use only if upstream fails lies apart.

    So a look at what is in use is not made longer by all that is kept for worse times.
    """

    def __init__(self) -> None:
        self._in_use: dict[Hashable, dict[GalleryRequest, CacheEntry]] = {}
        self._spare: dict[Hashable, dict[GalleryRequest, CacheEntry]] = {}

    def __iter__(self) -> Iterator[tuple[Hashable, CacheEntry]]:
        for tier in (self._in_use, self._spare):
            for key, entries in tier.items():
                yield from ((key, entry) for entry in entries.values())

    def add(self, key: Hashable, entry: CacheEntry) -> None:
        self._in_use.setdefault(key, {})[entry.request] = entry

    def remove(self, key: Hashable, entry: CacheEntry) -> None:
        for tier in (self._in_use, self._spare):
            entries = tier.get(key, {})
            if entries.pop(entry.request, None) is not None and not entries:
                del tier[key]

    def get(self, key: Hashable, use: Use, now: float) -> list[CacheEntry]:
        """From the youngest on; not all of them are of that use."""
        found: list[CacheEntry] = []
        for entry in list(self._in_use.get(key, {}).values()):
            if entry.renew_until > now:
                found.append(entry)
            else:
                self.remove(key, entry)
                self._spare.setdefault(key, {})[entry.request] = entry
        if use is Use.IF_ERROR:
            found += self._spare.get(key, {}).values()
        return sorted(found, key=_asked_at, reverse=True)


def _asked_at(entry: CacheEntry) -> float:
    return entry.asked_at


# A call that was under way at a purge may bring its page for so long: the most that a call may last.
_LONGEST_CALL_SECONDS = 600.0
_MAX_PURGED = 10_000

# Clients have few operations each; whoever has more makes them anew.
_MAX_RENDERED = 8


class PageCache:
    """Pages until their time is over; where the budget is used up, the least recently used go first.

    Args:
        max_bytes: budget for all pages, in bytes of memory.
        caller_max_bytes: quota for the pages of one caller, so that none can evict the others'.
    """

    def __init__(self, *, max_bytes: int, caller_max_bytes: int, clock: Clock) -> None:
        self._clock = clock
        self._max_bytes = min(max_bytes, caller_max_bytes)
        self._caller_max_bytes = caller_max_bytes
        self._caller_indexes: dict[CallerKey, CallerIndex] = {}
        self._purged_at: TTLCache[CallerKey, float] = TTLCache(
            _MAX_PURGED, _LONGEST_CALL_SECONDS, timer=clock.monotonic
        )
        self._entries = Entries(max_bytes, clock.monotonic, self._take_off_caller_index)

    @property
    def size_bytes(self) -> float:
        """Memory of all pages, including expired ones not removed yet; may be read from any thread."""
        return self._entries.stored_bytes

    @property
    def max_bytes(self) -> float:
        return self._entries.maxsize

    def __len__(self) -> int:
        """Return the number of pages that `size_bytes` counts; may be called from any thread."""
        return self._entries.stored

    def find(
        self, caller: Caller, request: GalleryRequest, *, needs_links: bool, use: Use = Use.FRESH
    ) -> tuple[CacheEntry, Page] | None:
        """An entry of that use that holds the answer to the request, and that answer.

        What is past its freshness is taken from the youngest that holds it.
        """
        caller_index = self._caller_indexes.get(caller.key)
        if caller_index is None:
            return None
        exact = caller_index.get(request) if use is Use.FRESH else None
        if exact is not None and exact.is_of(use, self._clock, needs_links=needs_links):
            return exact, self._page(caller, exact)
        for entry in caller_index.of_listing(request, use, self._clock.monotonic()):
            is_of_use = entry.is_of(use, self._clock, needs_links=needs_links)
            if not is_of_use or not entry.request.spans(request):
                continue
            page = slice_page(self._page(caller, entry), of=entry.request, to=request)
            if page is not None:
                return entry, page
        return None

    def find_project(
        self, caller: Caller, request: GalleryRequest, *, needs_links: bool, use: Use = Use.FRESH
    ) -> tuple[CacheEntry, UpstreamProject | None] | None:
        """An entry of that use that tells of the project which the request names, and that project.

        The project is None where the endpoint has listed no such project.
        """
        caller_index = self._caller_indexes.get(caller.key)
        if caller_index is None or request.project_id is None:
            return None
        exact = caller_index.get(request)
        if exact is not None and exact.is_of(use, self._clock, needs_links=needs_links):
            project = listed_project(self._page(caller, exact), request.project_id)
            if use is Use.FRESH or project is None:
                return exact, project
        for entry in caller_index.of_images(request, use, self._clock.monotonic()):
            is_of_use = entry.is_of(use, self._clock, needs_links=needs_links)
            if not is_of_use or request.project_id not in entry.project_ids:
                continue
            listed = listed_project(self._page(caller, entry), request.project_id)
            project = listed and slice_project(listed, of=entry.request, to=request)
            if project is not None:
                return entry, project
        return None

    def find_projects(
        self, caller: Caller, requests: Mapping[int, GalleryRequest], *, needs_links: bool
    ) -> dict[int, tuple[CacheEntry, UpstreamProject | None]]:
        """What fresh entries tell of many projects by their numbers, with each page looked through once.

        The requests differ in the project that they name, and in nothing else.
        """
        found: dict[int, tuple[CacheEntry, UpstreamProject | None]] = {}
        caller_index = self._caller_indexes.get(caller.key)
        if caller_index is None or not requests:
            return found
        alone = {number: caller_index.get(request) for number, request in requests.items()}
        for number, exact in alone.items():
            if exact is not None and exact.is_of(Use.FRESH, self._clock, needs_links=needs_links):
                found[number] = exact, listed_project(self._page(caller, exact), number)
        anyone = next(iter(requests.values()))
        for entry in caller_index.of_images(anyone, Use.FRESH, self._clock.monotonic()):
            missing = requests.keys() - found.keys()
            is_fresh = entry.is_of(Use.FRESH, self._clock, needs_links=needs_links)
            if is_fresh and not missing.isdisjoint(entry.project_ids):
                listed = slice_projects(self._page(caller, entry), of=entry.request, to=requests)
                found |= {number: (entry, listed[number]) for number in missing & listed.keys()}
        return found

    def renewable(self, caller: Caller, request: GalleryRequest) -> CacheEntry | None:
        """An entry for just this request that the endpoint can renew by its ETag.

        Not one whose links have expired: to call it unchanged would bring no new ones.
        """
        entry = self._entries.get((caller.key, request))
        if entry is None or not entry.rules.etag or entry.links_until <= self._clock.wall():
            return None
        return entry

    def put(self, caller: Caller, entry: CacheEntry) -> None:
        """Keeps an entry until its time; one that is larger than the budget is not kept."""
        # The cache's own time stands still meanwhile, so that no entry ends halfway.
        with self._entries.timer as now:
            self._entries.expire(now)
            known = self._entries.pop((caller.key, entry.request), None)
            if known is not None and known.asked_at > entry.asked_at:
                # This answer was overtaken by that of a later call.
                entry = known
            weight = weigh(entry)
            is_purged = entry.asked_at < self._purged_at.get(caller.key, -math.inf)
            if is_purged or weight > self._max_bytes or entry.keep_until <= now:
                return
            self._make_room(caller, weight)
            self._entries[caller.key, entry.request] = entry
            self._caller_indexes.setdefault(caller.key, CallerIndex()).add(entry, weight=weight)

    def remove_expired(self) -> None:
        """Remove expired pages; `put` does so too."""
        self._entries.expire()

    def remember(self, caller: Caller, entry: CacheEntry, key: Hashable, rendered: bytes) -> None:
        """Keeps what an entry was written as, within the same budget; only of an entry that is kept."""
        if len(entry.rendered) < _MAX_RENDERED:
            with self._weighed_anew(caller, entry, more_bytes=len(rendered)) as has_room:
                if has_room:
                    entry.rendered[key] = rendered

    def is_kept(self, caller_key: CallerKey, entry: CacheEntry) -> bool:
        """Whether the entry has not been replaced, evicted or purged; if so, it counts as used."""
        if self._entries.get((caller_key, entry.request)) is not entry:
            return False
        self._caller_indexes[caller_key].touch(entry)
        return True

    def purge(self, caller_key: CallerKey) -> None:
        """Forgets everything of a caller, who may no longer see it, and what was asked for before."""
        self._purged_at[caller_key] = self._clock.monotonic()
        for request in self._caller_indexes.get(caller_key, ()):
            self._entries.pop((caller_key, request), None)

    def purge_all(self) -> None:
        for caller_key in list(self._caller_indexes):
            self.purge(caller_key)

    @contextmanager
    def _weighed_anew(self, caller: Caller, entry: CacheEntry, *, more_bytes: int) -> Iterator[bool]:
        """Gives whether the entry is kept and may become so much heavier; if so, it is put anew."""
        # As in `put`: an entry that ended halfway would be weighed in otherwise than it is weighed out.
        with self._entries.timer:
            has_room = self.is_kept(caller.key, entry) and weigh(entry) + more_bytes <= self._max_bytes
            if has_room:
                self._entries.pop((caller.key, entry.request), None)
            yield has_room
            if has_room:
                self.put(caller, entry)

    def _page(self, caller: Caller, entry: CacheEntry) -> Page:
        """Used, and kept parsed from now on: what is asked for again may well be so once more."""
        page = entry.page
        if self.is_kept(caller.key, entry) and entry.parsed is None:
            with self._weighed_anew(caller, entry, more_bytes=parsed_bytes_of(entry)) as has_room:
                entry.parsed = page if has_room else None
        return page

    def _make_room(self, caller: Caller, weight: int) -> None:
        caller_index = self._caller_indexes.get(caller.key)
        for request in caller_index or ():
            if caller_index is None or caller_index.size_bytes + weight <= self._caller_max_bytes:
                return
            self._entries.pop((caller.key, request), None)

    def _take_off_caller_index(self, caller_key: CallerKey, entry: CacheEntry) -> None:
        caller_index = self._caller_indexes[caller_key]
        caller_index.remove(entry, weight=weigh(entry))
        if not caller_index:
            del self._caller_indexes[caller_key]
