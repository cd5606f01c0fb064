"""Answers requests that were made before without running an operation.

`Replays` finds them after the headers were checked, by caller and request; `VerbatimReplays` on the wire, by
all of their bytes. Either way the answer is kept with its page, and given only while that is fresh.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import NewType, Protocol

from cachetools import LRUCache

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.caching import etag_of, freshness_headers
from gallery_gateway.edge.headers import RawHeader, head_lines, request_id
from gallery_gateway.telemetry.records import COMPILED, OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry


class ReplayRecord:
    """What the record of an operation and those of its repeats have in common."""

    __slots__ = ("caller", "operation", "saved_bytes")

    def __init__(self, record: OperationRecord) -> None:
        self.caller = record.caller
        self.operation = record.operation
        self.saved_bytes = record.saved_bytes

    def fill(self, record: OperationRecord) -> None:
        """Fill the record of a repeat, except for what is known only at its end.

        The executor is `compiled`, since only what a plan has written is kept.
        """
        record.caller = self.caller
        record.operation = self.operation
        record.kind = "query"
        record.outcome = "ok"
        record.executor = COMPILED
        record.hits = 1
        record.saved_bytes = self.saved_bytes


def tell_again(
    telemetry: Telemetry,
    served: ReplayRecord,
    *,
    request_id: str,
    method: str,
    size_bytes: int,
    seconds: float,
) -> None:
    """Tells a repeat that was answered at once, without an account and outside of any trace."""
    record = OperationRecord(request_id=request_id, method=method)
    served.fill(record)
    record.status = 200
    record.bytes = size_bytes
    record.seconds = round(seconds, 6)
    telemetry.operation_ended(record)


_MAX_REPEATS = 4096
# What is larger is seldom sent twice, and costs time to be looked for.
_MAX_BODY_BYTES = 4096

RepeatKey = NewType("RepeatKey", bytes)
"""What a request is known by where neither its token nor its text is kept; made by `Replays` only."""


class ReplayableResponse(Protocol):
    """A response that can be repeated while the page that it was made of is fresh."""

    def get(self) -> tuple[bytes, float, float] | None:
        """Return the body, its remaining lifetime and its age in seconds; `None` if it is not fresh."""


class Replay:
    """An answer that may be given again; it is kept with its page, and here only pointed at."""

    __slots__ = ("_etag", "_kept", "served")

    def __init__(self, kept: ReplayableResponse, served: ReplayRecord | None) -> None:
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


class Replays:
    """Answers by caller and request."""

    def __init__(self) -> None:
        self._kept: LRUCache[RepeatKey, Replay] = LRUCache(_MAX_REPEATS)
        self._secret = secrets.token_bytes(32)

    def key(
        self, method: str, query_string: bytes, authorization: bytes | None, body: bytes
    ) -> RepeatKey | None:
        """A digest under a secret of this process; None if the request will not be remembered.

        The lengths stand before the parts, so that no two requests are the same when strung together.
        """
        if authorization is None or len(body) + len(query_string) > _MAX_BODY_BYTES:
            return None
        lengths = len(authorization), len(query_string)
        told = b"%b %d %d %b%b%b" % (method.encode(), *lengths, authorization, query_string, body)
        return RepeatKey(hashlib.blake2b(told, key=self._secret, digest_size=32).digest())

    def get(self, key: RepeatKey | None) -> Replay | None:
        return None if key is None else self._kept.get(key)

    def put(
        self, key: RepeatKey | None, kept: ReplayableResponse | None, served: ReplayRecord | None
    ) -> None:
        """Remembers an answer, with what is told whenever it is given again."""
        if key is not None and kept is not None:
            self._kept[key] = Replay(kept, served)

    def forget(self, key: RepeatKey | None) -> None:
        if key is not None:
            self._kept.pop(key, None)


VERBATIM_REPEATS = "verbatim_repeats"
"""Where the lifespan's state has them for the server."""

REMEMBER = "gallery_gateway.remember"
"""The ASGI extension by which the server takes a `VerbatimReplay` for the request of the scope."""

_MAX_REPEATS = 4096
# What is larger is seldom sent twice, and costs time to be looked for.
_MAX_REQUEST_BYTES = 8192

_OK = b"HTTP/1.1 200 OK\r\n"

Digest = bytes


class VerbatimReplay:
    """A response that may be given again.

    Args:
        headers: those that are the same each time.
        given_id: the request's own `X-Request-ID`.
        telemetry: told each time; None if nobody wants to know.
    """

    __slots__ = ("_given_id", "_head", "_method", "_repeat", "_telemetry")

    def __init__(
        self,
        repeat: Replay,
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
        self, telemetry: Telemetry, served: ReplayRecord, identifier: bytes, size_bytes: int, started: float
    ) -> None:
        tell_again(
            telemetry,
            served,
            request_id=identifier.decode(),
            method=self._method,
            size_bytes=size_bytes,
            seconds=time.perf_counter() - started,
        )


class VerbatimReplays:
    """Responses by the bytes of their requests, for the life of a process."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._kept: LRUCache[Digest, VerbatimReplay] = LRUCache(_MAX_REPEATS)
        self._secret = secrets.token_bytes(32)

    def digest(self, request: bytes) -> Digest | None:
        """What a request is known by, as there is a token in it; None if it will not be remembered."""
        if len(request) > _MAX_REQUEST_BYTES:
            return None
        return hashlib.blake2b(request, key=self._secret, digest_size=32).digest()

    def get(self, digest: Digest | None) -> VerbatimReplay | None:
        # Whoever is to leave is told so by another head.
        if digest is None or self._readiness.is_leaving:
            return None
        return self._kept.get(digest)

    def put(self, digest: Digest, repeat: VerbatimReplay) -> None:
        self._kept[digest] = repeat


Remember = Callable[[VerbatimReplay], None]
