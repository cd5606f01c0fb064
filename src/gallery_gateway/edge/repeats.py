"""Requests that were made before: the same bytes from the same caller are answered without an operation.

What a request is refused for by its headers has been looked at by then; what it was answered with is given
again only as long as the page behind it is kept and fresh.
"""

import hashlib
import secrets
from typing import NewType

from cachetools import LRUCache

from gallery_gateway.edge.caching import etag_of
from gallery_gateway.edge.served import Served
from gallery_gateway.execution.loading import Kept

_MAX_REPEATS = 4096
# What is larger is seldom sent twice, and costs time to be looked for.
_MAX_REQUEST_BYTES = 4096

RepeatKey = NewType("RepeatKey", bytes)
"""What a request is known by where neither its token nor its text is kept; made by `Repeats` only."""


class Repeat:
    """An answer that may be given again; it is kept with its page, and here only pointed at."""

    __slots__ = ("_etag", "_kept", "served")

    def __init__(self, kept: Kept, served: Served | None) -> None:
        self._kept = kept
        self.served = served
        self._etag: bytes | None = None

    def get(self) -> tuple[bytes, float, float] | None:
        """The answer, with the seconds for which it may still be used, and its age in seconds."""
        return self._kept.get()

    def etag(self, body: bytes) -> bytes:
        """That of the answer's body, which is the same as long as there is one."""
        if self._etag is None:
            self._etag = etag_of(body)
        return self._etag


class Repeats:
    """Answers by caller and request."""

    def __init__(self) -> None:
        self._kept: LRUCache[RepeatKey, Repeat] = LRUCache(_MAX_REPEATS)
        self._secret = secrets.token_bytes(32)

    def key(
        self, method: str, query_string: bytes, authorization: bytes | None, body: bytes
    ) -> RepeatKey | None:
        """A digest under a secret of this process; None if the request will not be remembered.

        The lengths stand before the parts, so that no two requests are the same when strung together.
        """
        if authorization is None or len(body) + len(query_string) > _MAX_REQUEST_BYTES:
            return None
        lengths = len(authorization), len(query_string)
        told = b"%b %d %d %b%b%b" % (method.encode(), *lengths, authorization, query_string, body)
        return RepeatKey(hashlib.blake2b(told, key=self._secret, digest_size=32).digest())

    def get(self, key: RepeatKey | None) -> Repeat | None:
        return None if key is None else self._kept.get(key)

    def put(self, key: RepeatKey | None, kept: Kept | None, served: Served | None) -> None:
        """Remembers an answer, with what is told whenever it is given again."""
        if key is not None and kept is not None:
            self._kept[key] = Repeat(kept, served)

    def forget(self, key: RepeatKey | None) -> None:
        if key is not None:
            self._kept.pop(key, None)
