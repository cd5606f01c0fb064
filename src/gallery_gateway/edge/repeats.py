"""Requests that were made before: the same bytes from the same caller are answered without an operation.

Whatever a request is refused for has been looked at by then; what it was answered with is given again only
as long as the page behind it is kept and fresh.
"""

from cachetools import LRUCache

from gallery_gateway.execution.compiled import Kept
from gallery_gateway.gallery.caller import Caller

# Together they bound what the keys weigh.
_MAX_REPEATS = 4096
_MAX_REQUEST_BYTES = 4096

_Key = tuple[Caller, bytes]


class Repeats:
    """Answers by caller and request; they are kept with their pages, and here only pointed at."""

    def __init__(self) -> None:
        self._kept: LRUCache[_Key, Kept] = LRUCache(_MAX_REPEATS)

    def get(self, caller: Caller | None, request: bytes) -> tuple[bytes, float, float] | None:
        """The answer, with the seconds for which it may still be used, and its age in seconds."""
        kept = self._kept.get((caller, request)) if caller else None
        if kept is None:
            return None
        answer = kept.get()
        if answer is None and caller:
            del self._kept[caller, request]
        return answer

    def put(self, caller: Caller | None, request: bytes, kept: Kept | None) -> None:
        if caller and kept and len(request) <= _MAX_REQUEST_BYTES:
            self._kept[caller, request] = kept
