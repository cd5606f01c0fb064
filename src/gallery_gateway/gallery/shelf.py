"""What is kept for one caller, found by what it can answer."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator

from gallery_gateway.gallery.entry import Entry
from gallery_gateway.gallery.request import GalleryRequest


class Shelf:
    """The entries of one caller; `size_bytes` is what they weigh together."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: OrderedDict[GalleryRequest, Entry] = OrderedDict()
        self._by_listing: dict[tuple[object, ...], dict[GalleryRequest, Entry]] = defaultdict(dict)
        self._by_images: dict[tuple[object, ...], dict[GalleryRequest, Entry]] = defaultdict(dict)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[GalleryRequest]:
        """From the least recently used on."""
        return iter(list(self._entries))

    def get(self, request: GalleryRequest) -> Entry | None:
        return self._entries.get(request)

    def of_listing(self, request: GalleryRequest) -> Iterator[Entry]:
        """Entries that may hold the answer to the request, from the youngest on."""
        return _youngest_first(self._by_listing.get(request.listing, {}))

    def of_images(self, request: GalleryRequest) -> Iterator[Entry]:
        """Entries whose projects have the images that the request's have, from the youngest on."""
        return _youngest_first(self._by_images.get(request.images, {}))

    def add(self, entry: Entry, *, weight: int) -> None:
        self._entries[entry.request] = entry
        self._by_listing[entry.request.listing][entry.request] = entry
        self._by_images[entry.request.images][entry.request] = entry
        self.size_bytes += weight

    def touch(self, entry: Entry) -> None:
        self._entries.move_to_end(entry.request)

    def remove(self, entry: Entry, *, weight: int) -> None:
        request = entry.request
        del self._entries[request]
        for index, key in ((self._by_listing, request.listing), (self._by_images, request.images)):
            del index[key][request]
            if not index[key]:
                del index[key]
        self.size_bytes -= weight


def _youngest_first(entries: dict[GalleryRequest, Entry]) -> Iterator[Entry]:
    return iter(sorted(entries.values(), key=lambda entry: entry.asked_at, reverse=True))
