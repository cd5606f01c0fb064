"""Requests that were made before: the same bytes from the same caller are answered without an operation.

Whatever a request is refused for has been looked at by then; what it was answered with is given again only
as long as the page behind it is kept and fresh.
"""

from cachetools import LRUCache

from gallery_gateway.execution.compiled import Kept
from gallery_gateway.gallery.caller import Caller, CallerKey

# Together they bound what the keys weigh.
_MAX_REPEATS = 4096
_MAX_REQUEST_BYTES = 4096

_Key = tuple[CallerKey, str, bytes]


class Repeats:
    """Answers by caller and request; they are kept with their pages, and here only pointed at."""

    def __init__(self) -> None:
        self._kept: LRUCache[_Key, Kept] = LRUCache(_MAX_REPEATS)

    def get(self, caller: Caller | None, method: str, asked: bytes) -> tuple[bytes, float, float] | None:
        """The answer, with the seconds for which it may still be used, and its age in seconds."""
        if caller is None:
            return None
        key = caller.key, method, asked
        kept = self._kept.get(key)
        if kept is None:
            return None
        answer = kept.get()
        if answer is None:
            del self._kept[key]
        return answer

    def put(self, caller: Caller | None, method: str, asked: bytes, kept: Kept | None) -> None:
        if caller and kept and len(asked) <= _MAX_REQUEST_BYTES:
            self._kept[caller.key, method, asked] = kept
