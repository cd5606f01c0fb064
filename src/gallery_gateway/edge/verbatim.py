"""Requests that came before byte for byte: answered on the wire, before anything of them is read again.

The same bytes are the same request of the same caller, and were let in before by rules that do not change.
What they are answered with is given again only as long as the page behind it is kept and fresh.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence

from cachetools import LRUCache

from gallery_gateway.edge.caching import freshness_headers
from gallery_gateway.edge.headers import RawHeader, head_lines, request_id
from gallery_gateway.edge.health import Readiness
from gallery_gateway.edge.repeats import Repeat
from gallery_gateway.edge.served import Served, tell_again
from gallery_gateway.telemetry.telemetry import Telemetry

VERBATIM_REPEATS = "verbatim_repeats"
"""Where the lifespan's state has them for the server."""

REMEMBER = "gallery_gateway.remember"
"""The ASGI extension by which the server takes a `VerbatimRepeat` for the request of the scope."""

_MAX_REPEATS = 4096
# What is larger is seldom sent twice, and costs time to be looked for.
_MAX_REQUEST_BYTES = 8192

_OK = b"HTTP/1.1 200 OK\r\n"

Digest = bytes


class VerbatimRepeat:
    """A response that may be given again.

    Args:
        headers: those that are the same each time.
        given_id: the request's own `X-Request-ID`.
        telemetry: told each time; None if nobody wants to know.
    """

    __slots__ = ("_given_id", "_head", "_method", "_repeat", "_telemetry")

    def __init__(
        self,
        repeat: Repeat,
        headers: Sequence[RawHeader],
        *,
        method: str,
        given_id: bytes | None,
        telemetry: Telemetry | None,
    ) -> None:
        self._repeat = repeat
        self._head = _OK + head_lines(headers)
        self._method = method
        self._given_id = given_id
        self._telemetry = telemetry

    def respond(self, server_headers: Sequence[RawHeader]) -> tuple[bytes, bytes] | None:
        """Head and body of the response as it is now; None if it may not be given any more."""
        started = time.perf_counter()
        kept = self._repeat.get()
        if kept is None:
            return None
        body, remaining_seconds, age_seconds = kept
        identifier = request_id(self._given_id)
        changing = head_lines(
            (
                *server_headers,
                *freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds),
                (b"x-request-id", identifier),
                (b"content-length", b"%d" % len(body)),
            )
        )
        if self._telemetry is not None and self._repeat.served is not None:
            self._tell(self._telemetry, self._repeat.served, identifier, len(body), started)
        return b"%b%b\r\n" % (self._head, changing), body

    def _tell(
        self, telemetry: Telemetry, served: Served, identifier: bytes, size_bytes: int, started: float
    ) -> None:
        tell_again(
            telemetry,
            served,
            request_id=identifier.decode(),
            method=self._method,
            size_bytes=size_bytes,
            seconds=time.perf_counter() - started,
        )


class VerbatimRepeats:
    """Responses by the bytes of their requests, for the life of a process."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._kept: LRUCache[Digest, VerbatimRepeat] = LRUCache(_MAX_REPEATS)
        self._secret = secrets.token_bytes(32)

    def digest(self, request: bytes) -> Digest | None:
        """What a request is known by, as there is a token in it; None if it will not be remembered."""
        if len(request) > _MAX_REQUEST_BYTES:
            return None
        return hashlib.blake2b(request, key=self._secret, digest_size=32).digest()

    def get(self, digest: Digest | None) -> VerbatimRepeat | None:
        # Whoever is to leave is told so by another head.
        if digest is None or self._readiness.is_leaving:
            return None
        return self._kept.get(digest)

    def put(self, digest: Digest, repeat: VerbatimRepeat) -> None:
        self._kept[digest] = repeat


Remember = Callable[[VerbatimRepeat], None]
