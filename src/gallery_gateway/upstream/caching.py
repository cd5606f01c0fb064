"""What an answer's headers say about keeping it (RFC 9111), for a cache that is private to its caller."""

from dataclasses import dataclass, replace
from typing import Self

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class CachingRules:
    """The headers' say.

    Args:
        is_storable: False under `no-store` (RFC 9111, 5.2.2.5).
        lifetime_seconds: freshness that is left after `Age`; 0 under `no-cache`, None if nothing is said.
        age_seconds: how old the answer was when it came (RFC 9111, 5.1).
        etag: its validator, as it came.
        may_be_stale: False where it may never be used past its freshness (RFC 9111, 4.2.4).
        stale_while_revalidate_seconds, stale_if_error_seconds: how long it may be used past its freshness
            (RFC 5861); None if nothing is said.
    """

    is_storable: bool = True
    lifetime_seconds: float | None = None
    age_seconds: float = 0.0
    etag: str | None = None
    may_be_stale: bool = True
    stale_while_revalidate_seconds: float | None = None
    stale_if_error_seconds: float | None = None

    def renewed(self, told: Self) -> Self:
        """These after a 304: what it does not say of stays as it was (RFC 9111, 4.3.4)."""
        return replace(
            told,
            lifetime_seconds=_said(told.lifetime_seconds, self.lifetime_seconds),
            etag=told.etag or self.etag,
            may_be_stale=told.may_be_stale and self.may_be_stale,
            stale_while_revalidate_seconds=_said(
                told.stale_while_revalidate_seconds, self.stale_while_revalidate_seconds
            ),
            stale_if_error_seconds=_said(told.stale_if_error_seconds, self.stale_if_error_seconds),
        )


NOTHING_SAID = CachingRules()

_TELLING = {"cache-control", "age", "etag"}

_NEVER_STALE = {"no-cache", "no-store", "must-revalidate"}


def parse_caching_rules(headers: httpx.Headers) -> CachingRules:
    if _TELLING.isdisjoint(headers):
        return NOTHING_SAID
    directives = _directives(headers.get("cache-control", ""))
    age = _seconds(headers.get("age", "")) or 0.0
    max_age = _seconds(directives.get("max-age", ""))
    lifetime = None if max_age is None else max(0.0, max_age - age)
    return CachingRules(
        is_storable="no-store" not in directives,
        lifetime_seconds=0.0 if "no-cache" in directives else lifetime,
        age_seconds=age,
        etag=headers.get("etag"),
        may_be_stale=directives.keys().isdisjoint(_NEVER_STALE),
        stale_while_revalidate_seconds=_seconds(directives.get("stale-while-revalidate", "")),
        stale_if_error_seconds=_seconds(directives.get("stale-if-error", "")),
    )


def _directives(value: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in value.lower().split(","))
    return {name.strip(): argument.strip().strip('"') for name, _, argument in pairs}


def _said(now: float | None, before: float | None) -> float | None:
    return before if now is None else now


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() and len(text) < 16 else None
