"""A cached page and its lifetimes."""

import math
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.telemetry.records import Link
from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.contract import Page, UpstreamProject
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.links import earliest_link_expiry

# The contract's list of statuses is open: any other status may still change.
_SETTLED = frozenset({None, "completed", "failed"})


class Lifetime(Struct, frozen=True):
    """How long a page may be used, in seconds from now.

    Args:
        fresh: until then the page is a hit.
        revalidating: until then it is served while a background call revalidates it.
        if_error: until then it is served when the REST API fails.
    """

    fresh: float
    revalidating: float
    if_error: float


_NOT_STORED = Lifetime(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessPolicy:
    """Upper bounds from the settings, in seconds.

    Args:
        ttl_seconds: how long a page is fresh; 0 disables the cache.
        unfinished_ttl_seconds: how long a page with unfinished images is fresh.
        link_margin_seconds: how long before its expiry a link is withheld.
        stale_while_revalidate_seconds: see RFC 5861, section 3.
        stale_if_error_seconds: see RFC 5861, section 4.
    """

    ttl_seconds: float
    unfinished_ttl_seconds: float
    link_margin_seconds: float
    stale_while_revalidate_seconds: float = 0.0
    stale_if_error_seconds: float = 0.0

    def lifetime(self, rules: CachingRules, *, is_unfinished: bool, token_seconds: float) -> Lifetime:
        """Return the lifetime of a page; no part of it is longer than the caller's token is valid."""
        if not rules.is_storable or self.ttl_seconds <= 0 or token_seconds <= 0:
            return _NOT_STORED
        fresh = min(self.ttl_seconds, token_seconds, _or_unbounded(rules.lifetime_seconds))
        if is_unfinished:
            fresh = min(fresh, self.unfinished_ttl_seconds)
        if not rules.may_be_stale:
            return Lifetime(fresh, fresh, fresh)
        # Clients poll unfinished pages for progress, so they wait for a new one. A page that is fresh for a
        # moment only is not served stale for much longer.
        revalidating = 0.0 if is_unfinished else min(self.stale_while_revalidate_seconds, fresh)
        revalidating = min(revalidating, _or_unbounded(rules.stale_while_revalidate_seconds))
        if_error = min(self.stale_if_error_seconds, _or_unbounded(rules.stale_if_error_seconds))
        return Lifetime(fresh, min(fresh + revalidating, token_seconds), min(fresh + if_error, token_seconds))


def _or_unbounded(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def has_pending_images(projects: list[Any]) -> bool:
    """Return whether images of these projects are neither completed nor failed.

    Args:
        projects: as a page lists them; a damaged page may hold anything.
    """
    try:
        # Comprehensions, since this is run for each page.
        statuses = {image.status for project in projects for image in project.images}
        counts = [(each.total_images, each.completed_images + each.failed_images) for each in projects]
        return not statuses <= _SETTLED or any([total > settled for total, settled in counts])  # noqa: C419
    except (AttributeError, TypeError):
        return any(map(_is_pending, projects))


def _is_pending(project: UpstreamProject) -> bool:
    """Return whether a project is unfinished; its counters may be null.

    A damaged page may hold `None` among its projects and images, or values of other types.
    """
    if not isinstance(project, ProjectionSource):
        return False
    images = [image for image in project.images or () if isinstance(image, ProjectionSource)]
    return bool(project.pending_images) or any(image.status not in list(_SETTLED) for image in images)


# After that many decodings for single operations, a page is decoded completely and kept parsed.
_MAX_DECODES = 3


class WrittenResponse(Struct, frozen=True, gc=False):
    """The response to an operation as JSON.

    Args:
        images: the number of images in it.
        is_unfinished: as for the page that was written.
    """

    body: bytes
    images: int
    is_unfinished: bool


class ResponseKey(Struct, frozen=True, gc=False):
    """What a response is kept under: the number of its writer, and the request that it answers.

    A reference to the writer itself would keep the plans of documents that are no longer prepared.
    """

    writer: Hashable
    request: GalleryRequest


class ResponseWriter(Protocol):
    """Writes the response to an operation that needs only one page."""

    @property
    def number(self) -> int:
        """The number of no other writer of the process."""

    def __call__(self, page: Page) -> tuple[bytes, int] | None:
        """Return the response and its number of images; `None` if that takes more than one step."""


# No entry is part of a cycle, and without `gc` the garbage collector does not walk through a full cache.
class CacheEntry(Struct, eq=False, kw_only=True, gc=False):
    """The page that answered one request, and when it may be used. Times are on the monotonic clock.

    Most pages are never requested again, and a parsed page takes more than twice the memory of its JSON. So
    an entry keeps the JSON and responses. It keeps the parsed page once an operation has needed all of it, or
    several have needed parts.

    Args:
        request: the request that the page answers.
        body: the JSON of the page; empty for a page that stands for a 404.
        project_ids: the ids of the projects on the page, position by position; `None` for a damaged one.
        is_unfinished: whether the page has images that are neither completed nor failed.
        received_bytes: size of the body that was received; 0 if the REST API answered "not modified".
        rules: what the response's headers say about caching.
        asked_at: when the fetch began.
        born_at: when the REST API generated the page.
        fresh_until: the end of freshness.
        revalidate_until: until then the page is served while it is revalidated.
        stale_until: until then the page is served when the REST API fails.
        keep_until: when the cache removes the entry; later than the others if its ETag can revalidate it.
        link_margin_seconds: how long before its expiry a link is withheld.
        parsed: the complete page, if it is kept parsed.
        decodes: how often the page was decoded.
        responses: written from the page.
        is_forced: whether an operation fetched the page although another one was fresh.
        call: the trace link of the upstream call, if it was traced.
        failure: error code and time of the last failed attempt to revalidate the page.
        known_links_until: `links_until`, once it is known.
        weight_bytes: the memory that the cache has accounted for; set by the cache.
    """

    request: GalleryRequest
    body: bytes
    project_ids: tuple[int | None, ...]
    is_unfinished: bool
    received_bytes: int
    rules: CachingRules
    asked_at: float
    born_at: float
    fresh_until: float
    revalidate_until: float
    stale_until: float
    keep_until: float
    link_margin_seconds: float
    parsed: Page | None = None
    decodes: int = 0
    responses: dict[ResponseKey, WrittenResponse] = {}  # msgspec makes a new one each time
    is_forced: bool = False
    call: Link | None = None
    failure: tuple[str, float] | None = None
    known_links_until: float | None = None
    weight_bytes: int = 0

    @property
    def links_until(self) -> float:
        """When the page's first link expires, less the margin, on the wall clock.

        It is computed when it is needed, since few operations select links.
        """
        if self.known_links_until is None:
            expiry = earliest_link_expiry(self.body)
            self.known_links_until = math.inf if expiry is None else expiry - self.link_margin_seconds
        return self.known_links_until

    def read(self, decoder: PageDecoder = parse_page) -> Page:
        """Return the page with at least the fields that `decoder` reads; a complete page is kept parsed."""
        if self.parsed is None:
            self.decodes += 1
            page = (decoder if self.decodes <= _MAX_DECODES else parse_page)(self.body)
            # Any decoder returns a complete page if the fields that it reads are damaged.
            if type(page) is not Page:
                return page
            self.parsed = page
        return self.parsed

    def remaining_seconds(self, clock: Clock, *, needs_links: bool) -> float:
        """Return how long the page is fresh from now; 0 or less if it is not."""
        remaining = self.fresh_until - clock.monotonic()
        if needs_links and remaining > 0:
            return min(remaining, self.links_until - clock.wall())
        return remaining

    def age_seconds(self, clock: Clock) -> float:
        return max(0.0, clock.monotonic() - self.born_at)


@dataclass(slots=True)
class FetchResult:
    """A fetched page and its entry, shared by all who waited for it.

    Args:
        page: the page as `decoder` parsed it; `None` between the writing of the response and the next `read`.
        decoder: what parsed the page; some decode only the fields that a plan reads.
        writer: wrote `response` for the load that began the fetch; `None` if there is no response.
        is_shared: whether another process fetched the page.
    """

    entry: CacheEntry
    page: Page | None
    decoder: PageDecoder = parse_page
    writer: ResponseWriter | None = None
    response: WrittenResponse | None = None
    is_shared: bool = False

    def read(self, decoder: PageDecoder) -> Page:
        """Return the page with the fields that `decoder` reads."""
        if self.page is None or (self.decoder is not parse_page and decoder is not self.decoder):
            self.page, self.decoder = decoder(self.entry.body), decoder
        return self.page

    def write(self, writer: ResponseWriter) -> None:
        """Write a response, and free the page, unless the response is large or does not fit the page.

        Until the operation goes on, others run, and take the page out of the caches of the processor.
        """
        # A page that stands for a 404 could not be read again.
        if self.page is None or not self.entry.body:
            return
        written = None
        # The operation writes the response again, and reports the error.
        with suppress(Exception):
            written = writer(self.page)
        if written is not None:
            self.response = WrittenResponse(*written, self.entry.is_unfinished)
            self.writer, self.page = writer, None


def project_ids_of(page: Page) -> tuple[int | None, ...]:
    # A damaged page may hold None among its projects, or an id of another type.
    ids = [getattr(project, "project_id", None) for project in page.projects]
    return tuple([project_id if type(project_id) is int else None for project_id in ids])
