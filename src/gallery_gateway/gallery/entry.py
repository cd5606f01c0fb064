"""A cached page and its lifetimes."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.telemetry.records import Link
from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.links import earliest_link_expiry

# The contract's list of statuses is open: what is not known to be an end may still change.
_SETTLED = (None, "completed", "failed")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a page is of use, in seconds from now on.

    Args:
        fresh: it answers by itself.
        while_renewed: it answers while a call is under way that renews it.
        if_error: it answers where such a call has failed.
    """

    fresh: float
    while_renewed: float
    if_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessPolicy:
    """The settings, all in seconds.

    Args:
        ttl_seconds: for any page; 0 = none is fresh, and none is kept.
        unfinished_ttl_seconds: for a page on which images are still being made.
        link_margin_seconds: how long before its expiry a link is no longer given out.
        stale_while_revalidate_seconds: how long past its freshness a page answers while it is renewed.
        stale_if_error_seconds: how long past its freshness it answers if upstream fails.
    """

    ttl_seconds: float
    unfinished_ttl_seconds: float
    link_margin_seconds: float
    stale_while_revalidate_seconds: float = 0.0
    stale_if_error_seconds: float = 0.0

    def lifetime(self, page: Page, rules: CachingRules, *, token_seconds: float) -> Lifetime:
        """Nothing lasts past the `token_seconds` that the caller's token has left, nor past the settings."""
        if not rules.is_storable or self.ttl_seconds <= 0 or token_seconds <= 0:
            return Lifetime(0.0, 0.0, 0.0)
        fresh = min(self.ttl_seconds, token_seconds, _unless_said(rules.lifetime_seconds))
        is_unfinished = _is_unfinished(page)
        if is_unfinished:
            fresh = min(fresh, self.unfinished_ttl_seconds)
        if not rules.may_be_stale:
            return Lifetime(fresh, fresh, fresh)
        # Progress is what is watched there, so it is waited for; and what was to be fresh for a moment only
        # is not to be old for long.
        renewing = 0.0 if is_unfinished else min(self.stale_while_revalidate_seconds, fresh)
        renewing = min(renewing, _unless_said(rules.stale_while_revalidate_seconds))
        failing = min(self.stale_if_error_seconds, _unless_said(rules.stale_if_error_seconds))
        return Lifetime(fresh, min(fresh + renewing, token_seconds), min(fresh + failing, token_seconds))


def _unless_said(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _is_unfinished(page: Page) -> bool:
    # A damaged page may hold None among its projects and images.
    for project in page.projects:
        if not isinstance(project, ProjectionSource):
            continue
        if project.pending_images:
            return True
        for image in project.images or ():
            if isinstance(image, ProjectionSource) and image.status not in _SETTLED:
                return True
    return False


class Use(Enum):
    """What a page is wanted for; each use has its own end."""

    FRESH = "fresh"
    WHILE_RENEWED = "while renewed"
    IF_ERROR = "if error"


@dataclass(slots=True, weakref_slot=True, eq=False, kw_only=True)
class CacheEntry:
    """The answer to one request.

    Most pages are never asked for again, and parsed a page takes more than twice the memory of its JSON, in
    a thousand small pieces that are slow to free. So it is kept parsed only once it has been asked for again.

    Args:
        request: which it is the answer to.
        body: the JSON of the page; empty if the page stands for an answer without one.
        project_ids: of the projects on the page, as far as they tell it.
        received_bytes: how much of it this answer brought; 0 if it renewed a page that was known.
        seconds: how long fetching it took.
        rules: what the endpoint says of keeping it.
        asked_at: when it was asked for, on the monotonic clock.
        born_at: when the endpoint made it, on the monotonic clock.
        fresh_until: on the monotonic clock; from then on it has to be asked for again.
        renew_until: likewise; until then it may answer while it is being renewed.
        stale_until: likewise; until then it may answer if upstream fails.
        keep_until: likewise; the last of these, or later if it can be renewed by its ETag.
        link_margin_seconds: how long before its expiry a link is no longer given out.
        parsed: the page, if it is kept parsed.
        rendered: what it was written as, by whatever it was written with.
        call: the link of the call that brought it, if it was traced.
        failure: the code of the last error of a call that was to renew it, and when that was.
        known_links_until: what `links_until` is, once it is known.
    """

    request: GalleryRequest
    body: bytes
    project_ids: tuple[int, ...]
    received_bytes: int
    seconds: float
    rules: CachingRules
    asked_at: float
    born_at: float
    fresh_until: float
    renew_until: float
    stale_until: float
    keep_until: float
    link_margin_seconds: float
    parsed: Page | None = None
    rendered: dict[Hashable, bytes] = field(default_factory=dict)
    call: Link | None = None
    failure: tuple[str, float] | None = None
    known_links_until: float | None = None

    @property
    def links_until(self) -> float:
        """On the wall clock; from then on its links are not given out any more.

        It is found out when it matters: few pages are asked for with their links.
        """
        if self.known_links_until is None:
            expiry = earliest_link_expiry(self.body, parse_page)
            self.known_links_until = math.inf if expiry is None else expiry - self.link_margin_seconds
        return self.known_links_until

    @property
    def page(self) -> Page:
        """It, parsed anew each time unless it is kept parsed."""
        return self.parsed or parse_page(self.body)

    def remaining_seconds(self, clock: Clock, *, needs_links: bool) -> float:
        """How long it may still be used; 0 or less if it may not."""
        remaining = self.fresh_until - clock.monotonic()
        if needs_links and remaining > 0:
            return min(remaining, self.links_until - clock.wall())
        return remaining

    def is_of(self, use: Use, clock: Clock, *, needs_links: bool) -> bool:
        """Whether it is of this use now; what its links are past, it is of no use for."""
        if needs_links and self.links_until <= clock.wall():
            return False
        if use is Use.FRESH:
            until = self.fresh_until
        else:
            until = self.renew_until if use is Use.WHILE_RENEWED else self.stale_until
        return until > clock.monotonic()

    def age_seconds(self, clock: Clock) -> float:
        return max(0.0, clock.monotonic() - self.born_at)


@dataclass(slots=True)
class FetchResult:
    """An entry that has just come, with its page: whoever waited for it need not parse it again.

    Args:
        reader: by which the page was read.
        is_shared: another process has fetched it.
    """

    entry: CacheEntry
    page: Page
    reader: PageDecoder = parse_page
    is_shared: bool = False

    @property
    def is_complete(self) -> bool:
        return self.reader is parse_page

    def read(self, reader: PageDecoder) -> Page:
        """The page with all that this reader reads of it; then it is kept for who asks next."""
        if not self.is_complete and reader is not self.reader:
            self.page, self.reader = reader(self.entry.body), reader
        return self.page


def project_ids_of(page: Page) -> tuple[int, ...]:
    """A damaged page may hold None, or a project with an id of any other type."""
    listed = [project.project_id for project in page.projects if isinstance(project, ProjectionSource)]
    return tuple([project_id for project_id in listed if type(project_id) is int])
