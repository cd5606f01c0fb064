"""How long a page is of use: the settings, cut by everything that makes it old earlier."""

import math
from dataclasses import dataclass

from gallery_gateway.execution.projected import Projected
from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.contract import Page

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
        if not isinstance(project, Projected):
            continue
        if project.pending_images:
            return True
        for image in project.images or ():
            if isinstance(image, Projected) and image.status not in _SETTLED:
                return True
    return False
