"""A page as it came, with its age and the moments that bound its use."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from gallery_gateway.gallery.clock import Clock
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.contract import Page, Project


@dataclass(slots=True, weakref_slot=True, eq=False, kw_only=True)
class Entry:
    """The answer to one request.

    Args:
        request: which it is the answer to.
        size_bytes: the JSON that the page was parsed from.
        received_bytes: how much of it this answer brought; 0 if it renewed a page that was known.
        seconds: how long fetching it took.
        rules: what the endpoint says of keeping it.
        asked_at: when it was asked for, on the monotonic clock.
        born_at: when the endpoint made it, on the monotonic clock.
        fresh_until: on the monotonic clock; from then on it has to be asked for again.
        keep_until: likewise; later than `fresh_until` if it can be renewed by its ETag.
        links_until: on the wall clock; from then on its links are not given out any more.
        rendered: what it was written as, by whatever it was written with.
    """

    request: GalleryRequest
    page: Page
    size_bytes: int
    received_bytes: int
    seconds: float
    rules: CachingRules
    asked_at: float
    born_at: float
    fresh_until: float
    keep_until: float
    links_until: float
    rendered: dict[Hashable, bytes] = field(default_factory=dict)
    _projects: dict[int, Project] | None = field(default=None, init=False)

    def project(self, project_id: int) -> Project | None:
        if self._projects is None:
            # A damaged page may hold None, or a project with an id of any other type.
            known = (project for project in self.page.projects if isinstance(project, Project))
            self._projects = {p.project_id: p for p in known if type(p.project_id) is int}
        return self._projects.get(project_id)

    def remaining_seconds(self, clock: Clock, *, needs_links: bool) -> float:
        """How long it may still be used; 0 or less if it may not."""
        remaining = self.fresh_until - clock.monotonic()
        if needs_links and remaining > 0:
            return min(remaining, self.links_until - clock.wall())
        return remaining

    def age_seconds(self, clock: Clock) -> float:
        return max(0.0, clock.monotonic() - self.born_at)
