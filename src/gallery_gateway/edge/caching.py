"""What an answer tells clients about keeping it, and how they ask past the gateway's own cache (RFC 9111)."""

import hashlib
import math

from gallery_gateway.edge.headers import RawHeader

NO_STORE: RawHeader = (b"cache-control", b"no-store")


def asks_past_cache(cache_control: bytes) -> bool:
    """Whether the client wants nothing that was known before (RFC 9111, 5.2.1.1 and 5.2.1.4)."""
    directives = {part.strip().lower() for part in cache_control.split(b",")}
    return bool(directives & {b"no-cache", b"no-store", b"max-age=0"})


def freshness_headers(*, remaining_seconds: float, age_seconds: float) -> tuple[RawHeader, ...]:
    """`Age` is that of the oldest page in the answer; `max-age` less `Age` is what really remains.

    So a client that counts as RFC 9111, 4.2 says, from the birth of the answer, ends with the gateway.
    """
    if math.isinf(remaining_seconds):
        # Nothing was loaded: there is nothing to keep an answer for.
        return ((b"cache-control", b"private, max-age=0"),)
    age = int(age_seconds)
    remaining = max(0, math.floor(remaining_seconds))
    return (b"cache-control", b"private, max-age=%d" % (age + remaining)), (b"age", b"%d" % age)


def etag_of(body: bytes) -> bytes:
    """A strong validator: the same bytes, and no others, have it."""
    return b'"%b"' % hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def is_known(etag: bytes, if_none_match: bytes) -> bool:
    """Whether `If-None-Match` names the ETag (RFC 9110, 13.1.2, by weak comparison)."""
    named = [part.strip().removeprefix(b"W/") for part in if_none_match.split(b",")]
    return etag in named or b"*" in named
