"""What an answer tells clients about keeping it, and how they ask past the gateway's own cache (RFC 9111)."""

import hashlib
import math

from starlette.datastructures import Headers

NO_STORE = {"cache-control": "no-store"}


def asks_past_cache(headers: Headers) -> bool:
    """Whether the client wants nothing that was known before (RFC 9111, 5.2.1.1 and 5.2.1.4)."""
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    return bool(directives & {"no-cache", "no-store", "max-age=0"})


def freshness_headers(*, remaining_seconds: float, age_seconds: float) -> dict[str, str]:
    """`Age` is that of the oldest page in the answer; `max-age` less `Age` is what really remains.

    So a client that counts as RFC 9111, 4.2 says, from the birth of the answer, ends with the gateway.
    """
    if math.isinf(remaining_seconds):
        # Nothing was loaded: there is nothing to keep an answer for.
        return {"cache-control": "private, max-age=0"}
    age = math.floor(age_seconds)
    remaining = max(0, math.floor(remaining_seconds))
    return {"cache-control": f"private, max-age={age + remaining}", "age": str(age)}


def etag_of(body: bytes) -> str:
    """A strong validator: the same bytes, and no others, have it."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def is_known(etag: str, headers: Headers) -> bool:
    """Whether `If-None-Match` names the ETag (RFC 9110, 13.1.2, by weak comparison)."""
    named = [part.strip().removeprefix("W/") for part in headers.get("if-none-match", "").split(",")]
    return etag in named or "*" in named
