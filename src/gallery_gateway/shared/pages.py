"""Shared pages, their keys, and what claiming one returns; this module needs no Redis library."""

import hashlib
from typing import Any, NamedTuple

import msgspec


class StoreError(Exception):
    """The store did not answer in time, refused, or holds a page that cannot be read."""


class StoredPage(msgspec.Struct, frozen=True, array_like=True):
    """A page as other processes read it; times are on the wall clock, in seconds since 1970.

    Args:
        body: the JSON of the page.
        rules: the caching rules of the REST API's response, by name.
    """

    body: bytes
    rules: dict[str, Any]
    asked_at: float
    born_at: float
    fresh_until: float
    revalidate_until: float
    stale_until: float
    keep_until: float
    links_until: float


# The number is the version of the layout: another layout needs another number.
_PREFIX = b"gallery-gateway:2:"

PURGES = _PREFIX + b"purges"
"""The channel on which processes announce the callers whose pages are purged."""


class PageKeys(NamedTuple):
    """The Redis keys of a page, of its lock, and of its caller's generation, which a purge deletes."""

    page: bytes
    lock: bytes
    generation: bytes

    @classmethod
    def of(cls, caller_key: bytes, request: str) -> "PageKeys":
        """`request` is a text that differs for any two requests of a caller."""
        digest = hashlib.blake2b(request.encode(), digest_size=16).hexdigest().encode("ascii")
        caller = _caller_prefix(caller_key)
        return cls(caller + b"page:" + digest, caller + b"lock:" + digest, generation_key(caller_key))


def generation_key(caller_key: bytes) -> bytes:
    return _caller_prefix(caller_key) + b"generation"


def _caller_prefix(caller_key: bytes) -> bytes:
    # The braces keep all keys of a caller in one slot of a cluster.
    return b"%b{%b}:" % (_PREFIX, caller_key.hex().encode("ascii"))


class Claim(NamedTuple):
    """The page; or the right to fetch it; or neither, while another process fetches it."""

    page: StoredPage | None
    is_ours: bool
    generation: bytes
