"""The caching headers of a response (RFC 9111), for a cache that is private to its caller.

A header that contradicts itself or cannot be read means the shorter time (RFC 9111, section 4.2.1).
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Self

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class CachingRules:
    """What the headers say.

    Args:
        is_storable: false under `no-store` (RFC 9111, 5.2.2.5).
        lifetime_seconds: freshness left after `Age`; 0 under `no-cache`, `None` if nothing says it.
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
        """Return the rules after a 304; what it does not say stays (RFC 9111, 4.3.4).

        The ETag stays in any case: it is the one that the 304 confirmed.
        """
        kept = {name: getattr(self, name) for name in _KEPT if getattr(newer, name) is None}
        may_be_stale = newer.may_be_stale and self.may_be_stale
        return replace(newer, **kept, may_be_stale=may_be_stale, etag=self.etag)


# Fields that keep their value if a 304 has none.
_KEPT = ("lifetime_seconds", "stale_while_revalidate_seconds", "stale_if_error_seconds")

NOTHING_SAID = CachingRules()
"""The rules of a response without any of `CACHING_HEADERS`."""

CACHING_HEADERS = frozenset({"cache-control", "age", "etag", "expires"})
_NEVER_STALE = {"no-cache", "no-store", "must-revalidate"}

# A name, and an argument with or without quotes; some servers put spaces around "=", or semicolons between.
_DIRECTIVE = re.compile(r'([^\s,;="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?')

# One entity tag (RFC 9110, section 8.8.3), or the same without quotes. `*` would match every page.
_ETAG = re.compile(r'(?=.{1,1024}$)(?:(?:[Ww]/)?"[!#-~]*"|[!#-)+\-.-~]+)')


def parse_caching_rules(headers: httpx.Headers) -> CachingRules:
    if CACHING_HEADERS.isdisjoint(headers.keys()):
        return NOTHING_SAID
    directives = parse_directives(headers.get("cache-control", ""))
    # The first of several counts (RFC 9111, section 5.1).
    age = parse_seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0
    max_ages = [parse_seconds(argument) or 0.0 for argument in directives.get("max-age", ())]
    lifetime = min(max_ages) if max_ages else _seconds_until_expiry(headers)
    return CachingRules(
        is_storable="no-store" not in directives,
        lifetime_seconds=0.0 if "no-cache" in directives else lifetime and max(0.0, lifetime - age),
        age_seconds=age,
        etag=headers["etag"] if _ETAG.fullmatch(headers.get("etag", "")) else None,
        may_be_stale=directives.keys().isdisjoint(_NEVER_STALE),
        stale_while_revalidate_seconds=shortest_seconds(directives, "stale-while-revalidate"),
        stale_if_error_seconds=shortest_seconds(directives, "stale-if-error"),
    )


def parse_directives(cache_control: str) -> dict[str, list[str]]:
    """Return the arguments of each directive, by its name in lower case; "" where one has none."""
    directives: dict[str, list[str]] = {}
    for name, quoted, token in _DIRECTIVE.findall(cache_control):
        directives.setdefault(name.lower(), []).append(quoted or token)
    return directives


def shortest_seconds(directives: Mapping[str, list[str]], name: str) -> float | None:
    """Return the shortest time that a directive gives, or `None` if none can be read."""
    times = [seconds for each in directives.get(name, ()) if (seconds := parse_seconds(each)) is not None]
    return min(times, default=None)


def parse_seconds(text: str) -> float | None:
    """Return a number of seconds, at most 10^12, or `None` if it is not one."""
    # Unlike int, float takes any number of digits.
    return min(float(text), 1e12) if text.isascii() and text.isdecimal() else None


def parse_http_date(text: str) -> float | None:
    """Return a date in any of the three formats of RFC 9110, section 5.6.7, in seconds since 1970."""
    try:
        moment = parsedate_to_datetime(text)
        # One of the formats has no time zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # A number too large for C raises OverflowError.
    except (ValueError, OverflowError):
        return None


def sent_at(headers: httpx.Headers) -> float:
    """Return the `Date` of a response: its other dates are relative to the same clock. By default, now."""
    date = parse_http_date(headers.get("date", ""))
    return time.time() if date is None else date


def _seconds_until_expiry(headers: httpx.Headers) -> float | None:
    """Return the lifetime by `Expires`; a date that cannot be read, such as 0, has passed."""
    dates = headers.get_list("expires")
    if not dates:
        return None
    expires_at = min(parse_http_date(date) or 0.0 for date in dates)
    return max(0.0, expires_at - sent_at(headers))
