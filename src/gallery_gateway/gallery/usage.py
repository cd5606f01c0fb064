"""What an operation costs upstream, and the budget that bounds it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.gallery.entry import CacheEntry
from gallery_gateway.gallery.request import GalleryRequest, described, query_string
from gallery_gateway.telemetry.records import CallRecord, Link
from gallery_gateway.telemetry.telemetry import ReportedCall

# Entries of `requests` in a report: many projects by id may all be hits.
_MAX_REQUESTS = 100


class CacheStatus(Enum):
    """Where an answer came from, in the terms of RFC 9211."""

    HIT = "hit"
    MISS = "miss"
    COLLAPSED = "collapsed"
    STALE = "stale"
    # Fetched by another process, and read from the shared cache.
    SHARED = "shared"


_MISS = CacheStatus.MISS


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper bounds for one operation: upstream calls, and the images that they may return."""

    max_calls: int
    max_images: int


@dataclass(slots=True, kw_only=True)
class UsageCounts:
    """Answers of one operation by their source; `docs/operating.md` explains each count.

    `saved_bytes` is the size of the pages that answered without being fetched for this operation.
    """

    calls: int
    hits: int
    shared: int
    stale: int
    collapsed: int
    merged: int
    saved_bytes: int


@dataclass(slots=True)
class OperationUsage:
    """Counts kept by the loader of one operation.

    Args:
        wanted_images: images that the loads of the fields could have returned as they were written.
        narrowed_images: images that they could have returned after narrowing.
        stale: loads answered by a stale page.
        calls: upstream calls, successful or not; a retry or a call for totals is part of its call.
        remaining_seconds: remaining freshness of the answer that expires first; infinite without an answer.
        age_seconds: age of the oldest answer.
    """

    budget: Budget
    wanted_images: int = 0
    narrowed_images: int = 0
    stale: int = 0
    calls: int = 0
    remaining_seconds: float = math.inf
    age_seconds: float = 0.0
    _charged_calls: int = 0
    _charged_images: int = 0
    _answers: list[tuple[CacheStatus, CacheEntry, float]] = field(default_factory=list)
    _repeats: list[tuple[GalleryRequest, float | None]] = field(default_factory=list)

    def charge(self, *, calls: int, images: int) -> None:
        """Take calls from the budget before they are made.

        Raises:
            BadUserInputError: the budget has fewer left; nothing is taken.
        """
        excess = self.excess(calls=calls, images=images)
        if excess is not None:
            raise excess
        self._charged_calls += calls
        self._charged_images += images

    def excess(self, *, calls: int, images: int) -> BadUserInputError | None:
        """Return the error that charging these calls would raise, or `None`."""
        calls += self._charged_calls
        if calls > self.budget.max_calls:
            return BadUserInputError(
                f"This operation needs {calls} upstream calls; the limit is {self.budget.max_calls}."
                " Split it into several operations."
            )
        images += self._charged_images
        if images > self.budget.max_images:
            return BadUserInputError(
                f"This operation requests up to {images} images; the limit is {self.budget.max_images}."
                " Lower `perPage`, `maxImagesPerProject` or `first`."
            )
        return None

    def affordable_calls(self, *, images_each: int) -> int:
        """Return how many more calls, each for up to `images_each` images, can be charged."""
        images = self.budget.max_images - self._charged_images
        return min(self.budget.max_calls - self._charged_calls, images // images_each)

    def record(
        self, status: CacheStatus, entry: CacheEntry, *, remaining_seconds: float, age_seconds: float
    ) -> None:
        self._answers.append((status, entry, age_seconds))
        self.stale += status is CacheStatus.STALE
        self.remaining_seconds = min(self.remaining_seconds, remaining_seconds)
        self.age_seconds = max(self.age_seconds, age_seconds)

    def record_repeat(self, request: GalleryRequest, *, age_seconds: float | None) -> None:
        """Record a field that shares a load of this operation, and the age of its page if it has one."""
        self._repeats.append((request, age_seconds))

    @property
    def spared_images(self) -> int:
        """The images that narrowing left out of the requests."""
        return max(0, self.wanted_images - self.narrowed_images)

    @property
    def shared_calls(self) -> list[Link]:
        """Trace links of the calls of other operations that this one waited for."""
        own = self._entries(CacheStatus.MISS)
        joined = self._entries(CacheStatus.COLLAPSED)
        return [entry.call for entry in joined if entry.call is not None and entry not in own]

    def counts(self) -> UsageCounts:
        shared = self._entries(CacheStatus.SHARED)
        own = self._entries(CacheStatus.MISS) + shared
        joined = self._entries(CacheStatus.COLLAPSED)
        joined_own = sum(entry in own for entry in joined)
        hits, stale = self._entries(CacheStatus.HIT), self._entries(CacheStatus.STALE)
        return UsageCounts(
            calls=self.calls,
            hits=len(hits),
            shared=len(shared),
            stale=self.stale,
            collapsed=len(joined) - joined_own,
            merged=joined_own + len(self._repeats),
            saved_bytes=sum(len(entry.body) for entry in hits + shared + stale + joined),
        )

    def report(self, calls: Sequence[ReportedCall]) -> dict[str, object]:
        """Return the value of `extensions.upstream`.

        Args:
            calls: that were made for the operation, retries included, in the order in which they ended.
        """
        own = self._entries(CacheStatus.MISS) + self._entries(CacheStatus.SHARED)
        counts = self.counts()
        narrowed = {"from": self.wanted_images, "to": self.narrowed_images}
        return {
            "calls": counts.calls,
            "hits": counts.hits + counts.shared,
            "stale": counts.stale,
            "collapsed": counts.collapsed,
            "merged": counts.merged,
            "narrowed": narrowed if self.spared_images else None,
            "bytes": sum(entry.received_bytes for entry in own),
            "milliseconds": round(1000 * sum(call.seconds for _, call in calls), 3),
            "requests": self._requests(calls)[:_MAX_REQUESTS],
        }

    def _requests(self, calls: Sequence[ReportedCall]) -> list[dict[str, object]]:
        """Return the calls, and then the answers that needed none."""
        queries = [target.partition(b"?")[2].decode() for target, _ in calls]
        indexes = {query: index for index, query in enumerate(queries)}
        ages = {query_string(entry.request): age for status, entry, age in self._answers if status is _MISS}
        made = [
            _request(query, "miss", call, age=None if _error_of(call) else ages.get(query))
            for query, (_, call) in zip(queries, calls, strict=True)
        ]
        own = self._entries(_MISS) + self._entries(CacheStatus.SHARED)
        merged = [(query_string(request), age) for request, age in self._repeats]
        for status, entry, age in self._answers:
            query = query_string(entry.request)
            if status is CacheStatus.COLLAPSED and entry in own:
                merged.append((query, age))
            elif status is not _MISS:
                made.append(_request(query, status.value, age=age))
        return made + [
            {**_request(query, "merged", age=age), "into": indexes.get(query)} for query, age in merged
        ]

    def _entries(self, status: CacheStatus) -> list[CacheEntry]:
        return [entry for each, entry, _ in self._answers if each is status]


def _request(
    query: str, outcome: str, call: CallRecord | None = None, *, age: float | None
) -> dict[str, object]:
    request: dict[str, object] = {
        **described(query),
        "outcome": outcome,
        "status": call and call.status,
        "milliseconds": round(1000 * call.seconds, 3) if call is not None else 0,
        "bytes": call.bytes if call is not None else 0,
        "ageSeconds": None if age is None else round(age, 3),
    }
    error = call and _error_of(call)
    if error is not None:
        request["error"] = error
    return request


def _error_of(call: CallRecord) -> str | None:
    """Return the code of a call that brought no page. A 404 may stand for an empty one."""
    return None if call.status == 404 or call.outcome in {"ok", "unchanged"} else call.outcome
