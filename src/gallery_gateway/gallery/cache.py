"""Pages that are still fresh, within a budget of bytes."""

import time
from collections.abc import Callable

from cachetools import TLRUCache

from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.client import FetchedPage
from gallery_gateway.upstream.contract import Page

# What a page of nothing costs all the same: its key, its structs and the cache's own records.
_ENTRY_BYTES = 1024


class PageCache:
    """Pages by caller and request, each fresh until its own moment; the least recent go first.

    Args:
        ttl_seconds: how long a page is fresh; 0 keeps none.
        max_bytes: budget for all pages, in bytes of the JSON that they came from.
        clock: seconds that never run backwards; a test passes its own.
    """

    def __init__(
        self,
        *,
        ttl_seconds: float,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        def expiry(_key: object, _value: object, now: float) -> float:
            return now + ttl_seconds

        self._max_bytes = max_bytes
        self._pages: TLRUCache[tuple[Caller, GalleryRequest], FetchedPage] = TLRUCache(
            maxsize=max_bytes, ttu=expiry, timer=clock, getsizeof=_weight
        )

    def get(self, caller: Caller, request: GalleryRequest) -> Page | None:
        fetched = self._pages.get((caller, request))
        return fetched.page if fetched else None

    def put(self, caller: Caller, request: GalleryRequest, fetched: FetchedPage) -> None:
        """Keeps a page; one that is larger than the whole budget is not kept."""
        if _weight(fetched) <= self._max_bytes:
            self._pages[caller, request] = fetched


def _weight(fetched: FetchedPage) -> int:
    return fetched.size_bytes + _ENTRY_BYTES
