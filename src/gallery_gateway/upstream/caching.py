"""The caching headers of a response (RFC 9111), for a cache that is private to its caller."""

from dataclasses import dataclass, replace
from typing import Self

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class CachingRules:
    """What the headers say.

    Args:
        is_storable: false under `no-store` (RFC 9111, 5.2.2.5).
        lifetime_seconds: freshness left after `Age`; 0 under `no-cache`, `None` without a directive.
        age_seconds: age of the response on arrival (RFC 9111, 5.1).
        etag: its validator, unchanged.
        may_be_stale: false if the response must not be used past its freshness (RFC 9111, 4.2.4).
        stale_while_revalidate_seconds, stale_if_error_seconds: how long it may be used past its freshness
            (RFC 5861); `None` without a directive.
    """

    is_storable: bool = True
    lifetime_seconds: float | None = None
    age_seconds: float = 0.0
    etag: str | None = None
    may_be_stale: bool = True
    stale_while_revalidate_seconds: float | None = None
    stale_if_error_seconds: float | None = None

    def renewed(self, newer: Self) -> Self:
        """Return the rules after a 304; what it does not say stays (RFC 9111, 4.3.4)."""
        kept = {name: getattr(self, name) for name in _KEPT if getattr(newer, name) is None}
        return replace(newer, may_be_stale=newer.may_be_stale and self.may_be_stale, **kept)


# Fields that keep their value if a 304 has none.
_KEPT = ("lifetime_seconds", "etag", "stale_while_revalidate_seconds", "stale_if_error_seconds")

NOTHING_SAID = CachingRules()

_HEADERS = frozenset({"cache-control", "age", "etag"})
_NEVER_STALE = {"no-cache", "no-store", "must-revalidate"}


def parse_caching_rules(headers: httpx.Headers) -> CachingRules:
    if _HEADERS.isdisjoint(headers):
        return NOTHING_SAID
    pairs = (part.partition("=") for part in headers.get("cache-control", "").lower().split(","))
    directives = {name.strip(): argument.strip().strip('"') for name, _, argument in pairs}
    age = parse_seconds(headers.get("age", "")) or 0.0
    max_age = parse_seconds(directives.get("max-age", ""))
    lifetime = None if max_age is None else max(0.0, max_age - age)
    return CachingRules(
        is_storable="no-store" not in directives,
        lifetime_seconds=0.0 if "no-cache" in directives else lifetime,
        age_seconds=age,
        etag=headers.get("etag") or None,
        may_be_stale=directives.keys().isdisjoint(_NEVER_STALE),
        stale_while_revalidate_seconds=parse_seconds(directives.get("stale-while-revalidate", "")),
        stale_if_error_seconds=parse_seconds(directives.get("stale-if-error", "")),
    )


def parse_seconds(text: str) -> float | None:
    """Return a number of seconds, or `None` if it is not one of at most 15 digits."""
    return float(text) if text.isdecimal() and len(text) < 16 else None
