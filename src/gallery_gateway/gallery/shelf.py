"""What is kept for one caller, found by what it can answer."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator

from gallery_gateway.gallery.entry import Entry, Use
from gallery_gateway.gallery.request import GalleryRequest


class Shelf:
    """The entries of one caller; `size_bytes` is what they weigh together."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: OrderedDict[GalleryRequest, Entry] = OrderedDict()
        self._by_listing = _Index()
        self._by_images = _Index()

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[GalleryRequest]:
        """From the least recently used on."""
        return iter(list(self._entries))

    def get(self, request: GalleryRequest) -> Entry | None:
        return self._entries.get(request)

    def of_listing(self, request: GalleryRequest, use: Use, now: float) -> list[Entry]:
        """Entries that may hold the answer to the request, from the youngest on."""
        return self._by_listing.get(request.listing, use, now)

    def of_images(self, request: GalleryRequest, use: Use, now: float) -> list[Entry]:
        """Entries whose projects have the images that the request's have, from the youngest on."""
        return self._by_images.get(request.images, use, now)

    def add(self, entry: Entry, *, weight: int) -> None:
        self._entries[entry.request] = entry
        self._by_listing.add(entry.request.listing, entry)
        self._by_images.add(entry.request.images, entry)
        self.size_bytes += weight

    def touch(self, entry: Entry) -> None:
        self._entries.move_to_end(entry.request)

    def remove(self, entry: Entry, *, weight: int) -> None:
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
        self._in_use: dict[Hashable, dict[GalleryRequest, Entry]] = {}
        self._spare: dict[Hashable, dict[GalleryRequest, Entry]] = {}

    def __iter__(self) -> Iterator[tuple[Hashable, Entry]]:
        for tier in (self._in_use, self._spare):
            for key, entries in tier.items():
                yield from ((key, entry) for entry in entries.values())

    def add(self, key: Hashable, entry: Entry) -> None:
        self._in_use.setdefault(key, {})[entry.request] = entry

    def remove(self, key: Hashable, entry: Entry) -> None:
        for tier in (self._in_use, self._spare):
            entries = tier.get(key, {})
            if entries.pop(entry.request, None) is not None and not entries:
                del tier[key]

    def get(self, key: Hashable, use: Use, now: float) -> list[Entry]:
        """From the youngest on; not all of them are of that use."""
        found: list[Entry] = []
        for entry in list(self._in_use.get(key, {}).values()):
            if entry.renew_until > now:
                found.append(entry)
            else:
                self.remove(key, entry)
                self._spare.setdefault(key, {})[entry.request] = entry
        if use is Use.IF_ERROR:
            found += self._spare.get(key, {}).values()
        return sorted(found, key=_asked_at, reverse=True)


def _asked_at(entry: Entry) -> float:
    return entry.asked_at
