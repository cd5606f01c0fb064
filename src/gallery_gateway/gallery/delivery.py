"""What answers a request, and what of it may be given again."""

import weakref
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.clock import Clock
from gallery_gateway.gallery.entry import Entry
from gallery_gateway.gallery.ledger import Outcome
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.stale import Staleness
from gallery_gateway.upstream.contract import Page, Project

Value = TypeVar("Value", Page, Project | None)


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Value]):
    """What answers a request, the entry it was got from, and how that was come by.

    Args:
        read: what answers it, with all that was to be read of it.
        staleness: of an answer that was not fresh.
        is_whole: whether that is all that there is.
    """

    request: GalleryRequest
    read: Value
    entry: Entry
    outcome: Outcome
    needs_links: bool
    staleness: Staleness | None = None
    is_whole: bool = True

    @property
    def value(self) -> Value:
        """What answers the request, whole."""
        if self.is_whole:
            return self.read
        page: Any = self.entry.page
        return page  # type: ignore[no-any-return]  # only pages are read in part

    def recall(self, writer: Hashable) -> bytes | None:
        """What it was written as by this writer, if that is remembered."""
        return self.entry.rendered.get((writer, self.request))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a delivery was written as, for as long as its page is kept and fresh."""

    key: Hashable
    entry: "weakref.ref[Entry]"
    needs_links: bool
    caller_key: CallerKey
    cache: PageCache
    clock: Clock

    def get(self) -> tuple[bytes, float, float] | None:
        """It, with the seconds for which it may still be used, and its age in seconds; None from then on."""
        entry = self.entry()
        if entry is None or not self.cache.is_kept(self.caller_key, entry):
            return None
        rendered = entry.rendered.get(self.key)
        remaining_seconds = entry.remaining_seconds(self.clock, needs_links=self.needs_links)
        if rendered is None or remaining_seconds <= 0:
            return None
        return rendered, remaining_seconds, entry.age_seconds(self.clock)
