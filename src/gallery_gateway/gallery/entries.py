"""cachetools' cache of entries, each with its weight and a time of its own."""

from collections.abc import Callable

from cachetools import Cache, TLRUCache

from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.entry import Entry
from gallery_gateway.gallery.request import GalleryRequest

_Key = tuple[CallerKey, GalleryRequest]

# What a page takes in memory, measured by tests/benchmarks/memory.py: the values of one that is kept parsed,
# besides its JSON; and for any page its key, its indexes and the cache's own records.
_PARSED_BYTES_PER_JSON_BYTE = 1.4
_ENTRY_BYTES = 3072


class Entries(TLRUCache[_Key, Entry]):
    """Entries until their time is over; the least recently used go first. It tells what it has removed."""

    def __init__(
        self,
        max_bytes: int,
        timer: Callable[[], float],
        on_removed: Callable[[CallerKey, Entry], None],
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

    def expire(self, time: float | None = None) -> list[tuple[_Key, Entry]]:
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


def weigh(entry: Entry) -> int:
    parsed_bytes = 0 if entry.parsed is None else parsed_bytes_of(entry)
    return _ENTRY_BYTES + len(entry.body) + parsed_bytes + sum(map(len, entry.rendered.values()))


def parsed_bytes_of(entry: Entry) -> int:
    return int(_PARSED_BYTES_PER_JSON_BYTE * len(entry.body))
