"""What an operation has cost, and what it may cost."""

import math
from dataclasses import dataclass, field
from enum import Enum

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.gallery.entry import CacheEntry
from gallery_gateway.telemetry.records import Link


class CacheStatus(Enum):
    """How an answer was come by, in RFC 9211's words."""

    HIT = "hit"
    MISS = "miss"
    COLLAPSED = "collapsed"
    STALE = "stale"
    # By another process, and out of the store that they share.
    SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one operation may cost upstream: so many calls, and so many images in their answers."""

    max_calls: int
    max_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageCounts:
    """How the fields of one operation were answered; README tells what each figure means.

    `saved_bytes` is what the pages weigh that answered fields without being fetched for them.
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
    """Kept by the loaders of one operation.

    Args:
        asked: how often the operation's fields asked for a page or a project.
        wanted_images: how many images their requests could have returned as they stood.
        narrowed_images: how many after narrowing.
        loaded: how many different pages and projects were not in the cache.
        spared: how often a page past its freshness answered, and nothing was waited for.
        stale: how often one answered at all.
        calls: how many upstream calls were made for them, answered or not.
        remaining_seconds: how long the shortest-lived answer may still be used; infinite if there is none.
        age_seconds: of the oldest answer.
    """

    budget: Budget
    asked: int = 0
    wanted_images: int = 0
    narrowed_images: int = 0
    loaded: int = 0
    spared: int = 0
    stale: int = 0
    calls: int = 0
    remaining_seconds: float = math.inf
    age_seconds: float = 0.0
    _charged_calls: int = 0
    _charged_images: int = 0
    _outcomes: list[tuple[CacheStatus, CacheEntry]] = field(default_factory=list)

    def charge(self, *, calls: int, images: int) -> None:
        """Takes calls from the budget before they are made.

        Raises:
            BadUserInputError: they are more than what is left; nothing is taken.
        """
        refusal = self.refusal(calls=calls, images=images)
        if refusal is not None:
            raise refusal
        self._charged_calls += calls
        self._charged_images += images

    def refusal(self, *, calls: int, images: int) -> BadUserInputError | None:
        """Why so much more cannot be charged; None if it can."""
        calls += self._charged_calls
        if calls > self.budget.max_calls:
            return BadUserInputError(
                f"This operation needs {calls} calls of the gallery;"
                f" {self.budget.max_calls} are allowed. Ask for less at once."
            )
        images += self._charged_images
        if images > self.budget.max_images:
            return BadUserInputError(
                f"This operation asks for up to {images} images;"
                f" {self.budget.max_images} are allowed. Lower `perPage`, `maxImagesPerProject` or `first`."
            )
        return None

    def affordable_calls(self, *, images_each: int) -> int:
        """How many more calls of so many images can be charged."""
        images = self.budget.max_images - self._charged_images
        return min(self.budget.max_calls - self._charged_calls, images // images_each)

    def record(
        self, outcome: CacheStatus, entry: CacheEntry, *, remaining_seconds: float, age_seconds: float
    ) -> None:
        self._outcomes.append((outcome, entry))
        self.stale += outcome is CacheStatus.STALE
        self.remaining_seconds = min(self.remaining_seconds, remaining_seconds)
        self.age_seconds = max(self.age_seconds, age_seconds)

    @property
    def spared_images(self) -> int:
        """How many images narrowing has not asked for."""
        return max(0, self.wanted_images - self.narrowed_images)

    @property
    def shared_calls(self) -> list[Link]:
        """The calls of other operations that this one has waited for, as far as they were traced."""
        own = self._entries(CacheStatus.MISS)
        return [e.call for e in self._entries(CacheStatus.COLLAPSED) if e.call is not None and e not in own]

    def figures(self) -> UsageCounts:
        shared = self._entries(CacheStatus.SHARED)
        own = self._entries(CacheStatus.MISS) + shared
        joined = self._entries(CacheStatus.COLLAPSED)
        joined_own = sum(entry in own for entry in joined)
        hits, stale = self._entries(CacheStatus.HIT), self._entries(CacheStatus.STALE)
        # Pages that brought none of the projects they were asked for were loaded unasked.
        repeated = max(0, self.asked - len(hits) - self.spared - self.loaded)
        return UsageCounts(
            calls=self.calls,
            hits=len(hits),
            shared=len(shared),
            stale=self.stale,
            collapsed=len(joined) - joined_own,
            merged=joined_own + repeated,
            saved_bytes=sum(len(entry.body) for entry in hits + shared + stale + joined),
        )

    def report(self) -> dict[str, object]:
        """The bill as `extensions.upstream` shows it."""
        own = self._entries(CacheStatus.MISS) + self._entries(CacheStatus.SHARED)
        figures = self.figures()
        return {
            "calls": figures.calls,
            "hits": figures.hits + figures.shared,
            "stale": figures.stale,
            "collapsed": figures.collapsed,
            "merged": figures.merged,
            "narrowed": {"from": self.wanted_images, "to": self.narrowed_images}
            if self.spared_images
            else None,
            "bytes": sum(entry.received_bytes for entry in own),
            "milliseconds": round(1000 * sum(entry.seconds for entry in own), 3),
        }

    def _entries(self, outcome: CacheStatus) -> list[CacheEntry]:
        return [entry for how, entry in self._outcomes if how is outcome]
