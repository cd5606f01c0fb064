"""Callers that were told to wait (429, `Retry-After`), and until when."""

from collections.abc import Callable

from cachetools import LRUCache

_MAX_CALLERS = 10_000

# Whoever is told to wait for a year by mistake is let go on after an hour.
_LONGEST_SECONDS = 3_600.0


class Pauses:
    """By the caller's key; the least recent are forgotten first, and then asked for again.

    Args:
        clock: seconds that never run backwards; a test passes its own.
    """

    def __init__(self, *, clock: Callable[[], float], max_callers: int = _MAX_CALLERS) -> None:
        self._clock = clock
        self._until: LRUCache[bytes, float] = LRUCache(max_callers)

    def pause(self, caller_key: bytes, seconds: float) -> None:
        self._until[caller_key] = self._clock() + min(seconds, _LONGEST_SECONDS)

    def remaining_seconds(self, caller_key: bytes) -> float:
        """How long the caller has to wait; 0 if it may ask."""
        until = self._until.get(caller_key)
        if until is None:
            return 0.0
        remaining = until - self._clock()
        if remaining <= 0:
            del self._until[caller_key]
        return max(0.0, remaining)
