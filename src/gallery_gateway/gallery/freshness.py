"""How long a page is fresh: the setting, cut by everything that makes it old earlier."""

from dataclasses import dataclass

from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.contract import Image, Page, Project

# The contract's list of statuses is open: what is not known to be an end may still change.
_SETTLED = (None, "completed", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessPolicy:
    """The settings, all in seconds.

    Args:
        ttl_seconds: for any page; 0 = none is fresh.
        unfinished_ttl_seconds: for a page on which images are still being made.
        link_margin_seconds: how long before its expiry a link is no longer given out.
    """

    ttl_seconds: float
    unfinished_ttl_seconds: float
    link_margin_seconds: float

    def lifetime_seconds(self, page: Page, rules: CachingRules, *, token_seconds: float) -> float:
        """From now on; `token_seconds` is what the caller's token has left. Never more than the setting."""
        if not rules.is_storable:
            return 0.0
        lifetime = min(self.ttl_seconds, token_seconds)
        if rules.lifetime_seconds is not None:
            lifetime = min(lifetime, rules.lifetime_seconds)
        if lifetime > self.unfinished_ttl_seconds and _is_unfinished(page):
            lifetime = self.unfinished_ttl_seconds
        return max(0.0, lifetime)


def _is_unfinished(page: Page) -> bool:
    return any(isinstance(project, Project) and _is_in_work(project) for project in page.projects)


def _is_in_work(project: Project) -> bool:
    if project.pending_images:
        return True
    # A damaged page may hold None among its images.
    return any(isinstance(image, Image) and image.status not in _SETTLED for image in project.images or ())
