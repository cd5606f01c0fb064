"""What an answer tells clients about keeping it, and how they ask past the gateway's own cache (RFC 9111)."""

import hashlib
import math
from typing import NamedTuple

from gallery_gateway.edge.headers import RawHeader

NO_STORE: RawHeader = (b"cache-control", b"no-store")


class CacheDirectives(NamedTuple):
    """What a client will take.

    Args:
        skips_cache: nothing that was known before.
        if_error_seconds: where upstream fails, pages that have been stale for so long at the most.
    """

    skips_cache: bool
    if_error_seconds: float


_PAST_CACHE = frozenset({b"no-cache", b"no-store", b"max-age=0"})
_IF_ERROR = b"stale-if-error="


def parse_directives(cache_control: bytes) -> CacheDirectives:
    """Source: RFC 9111, 5.2.1.1 and 5.2.1.4, and RFC 5861, 4; who asks past the cache wants nothing stale."""
    directives = {part.strip().lower() for part in cache_control.split(b",")}
    skips_cache = not _PAST_CACHE.isdisjoint(directives)
    bounds = [name.removeprefix(_IF_ERROR) for name in directives if name.startswith(_IF_ERROR)]
    seconds = [float(bound) for bound in bounds if bound.isdigit() and len(bound) < 16]
    return CacheDirectives(skips_cache, min(seconds, default=0.0 if skips_cache else math.inf))


def freshness_headers(*, remaining_seconds: float, age_seconds: float) -> tuple[RawHeader, ...]:
    """`Age` is that of the oldest page in the answer; `max-age` less `Age` is what really remains.

    So a client that counts as RFC 9111, 4.2 says, from the birth of the answer, ends with the gateway.
    """
    if math.isinf(remaining_seconds):
        # Nothing was loaded: there is nothing to keep an answer for.
        return ((b"cache-control", b"private, max-age=0"),)
    age = int(age_seconds)
    remaining = math.floor(remaining_seconds)
    max_age = age + remaining if remaining >= 0 else 0
    return (b"cache-control", b"private, max-age=%d" % max_age), (b"age", b"%d" % age)


def etag_of(body: bytes) -> bytes:
    """A strong validator: the same bytes, and no others, have it."""
    return b'"%b"' % hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def is_known(etag: bytes, if_none_match: bytes) -> bool:
    """Whether `If-None-Match` names the ETag (RFC 9110, 13.1.2, by weak comparison)."""
    named = [part.strip().removeprefix(b"W/") for part in if_none_match.split(b",")]
    return etag in named or b"*" in named
