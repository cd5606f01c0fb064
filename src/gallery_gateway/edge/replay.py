"""Replays: responses to requests that came before, sent without running an operation.

A replay has no body of its own. It refers to the body that is cached with a page, and ends with that page's
freshness. The store finds replays in two ways: by a parsed request, for the endpoint, and by the bytes of a
request, for the server. Every key covers the caller's token.
"""

import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.request import request_id
from gallery_gateway.edge.responses import RawHeader, etag_of, freshness_headers, head_lines
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import COMPILED, OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry

REPLAY_STORE = "replay_store"
"""The key of the store in the state of the lifespan, where the server finds it."""

REMEMBER = "gallery_gateway.remember"
"""The key in the state of a request of a function that stores a `Replay` under the bytes of the request."""

# Larger requests are seldom sent twice, and to hash them takes time.
_MAX_REQUEST_BYTES = 8_192

ReplayKey = bytes
"""A keyed digest of a request, from which neither its token nor its text can be read."""

CachedBody = tuple[bytes, float, float]
"""A body, with its remaining freshness and its age in seconds."""


def fill_replay(record: OperationRecord, original: OperationRecord) -> None:
    """Fill the record of a replay from that of the operation that it repeats."""
    record.caller = original.caller
    record.operation = original.operation
    record.kind = "query"
    record.outcome = "ok"
    # Only compiled responses are cached with their page.
    record.executor = COMPILED
    record.hits = 1
    record.saved_bytes = original.saved_bytes


@dataclass(slots=True)
class Replay:
    """A response that may be sent again.

    Args:
        response: the body, as long as its page is cached and fresh.
        record: the record of the operation that it repeats.
        head: status line and unchanging headers, if the server sends it.
        method: the method of the request, if the server sends it.
        client_id: the client's `X-Request-ID`, if the server sends it.
    """

    response: CachedResponse
    record: OperationRecord
    head: bytes = b""
    method: str = ""
    client_id: bytes | None = None
    _etag: bytes | None = None

    def etag(self, body: bytes) -> bytes:
        """Return the ETag of the body, which is computed once."""
        if self._etag is None:
            self._etag = etag_of(body)
        return self._etag

    def for_server(self, headers: Iterable[RawHeader], *, method: str, client_id: bytes | None) -> "Replay":
        """Return a copy that the server can send by itself, with these headers."""
        head = b"HTTP/1.1 200 OK\r\n" + head_lines(headers)
        return Replay(self.response, self.record, head, method, client_id)


class ReplayStore:
    """The replays of one process; the least recently used one is evicted.

    Args:
        readiness: the server sends no replay once the process leaves, since connections then have to close.
        telemetry: records the replays of the server; None if telemetry is off.
        max_replays: how many replays, of about 1 KB each, are kept under keys of both kinds.
    """

    def __init__(
        self, readiness: Readiness, telemetry: Telemetry | None = None, *, max_replays: int = 8_192
    ) -> None:
        self._readiness = readiness
        self._telemetry = telemetry
        self._replays: LRUCache[ReplayKey, Replay] = LRUCache(max_replays)
        self._secret = secrets.token_bytes(32)

    def request_key(
        self, method: str, query_string: bytes, authorization: bytes | None, body: bytes
    ) -> ReplayKey | None:
        """Return the key of a parsed request, or None if it has no token or is too large to be replayed.

        The key does not cover the headers from which the endpoint makes the head of the response.
        """
        if authorization is None or len(body) + len(query_string) > _MAX_REQUEST_BYTES:
            return None
        # With the lengths in front, no two requests have the same text.
        lengths = len(authorization), len(query_string)
        text = b"%b %d %d %b%b%b" % (method.encode(), *lengths, authorization, query_string, body)
        # Longer than a key of `wire_key`, so that the two never meet.
        return hashlib.blake2b(text, key=self._secret, digest_size=33).digest()

    def wire_key(self, data: bytes) -> ReplayKey | None:
        """Return the key of all bytes of a request, or None if it cannot be replayed."""
        if len(data) > _MAX_REQUEST_BYTES or self._readiness.is_leaving:
            return None
        return hashlib.blake2b(data, key=self._secret, digest_size=32).digest()

    def put(self, key: ReplayKey, replay: Replay) -> None:
        self._replays[key] = replay

    def find(self, key: ReplayKey | None) -> tuple[Replay, CachedBody] | None:
        """Return a replay with its body; one whose page is no longer cached or fresh is removed."""
        if key is None or (replay := self._replays.get(key)) is None:
            return None
        body = replay.response.get()
        if body is None:
            del self._replays[key]
            return None
        return replay, body

    def respond(
        self, key: ReplayKey | None, server_headers: Sequence[RawHeader]
    ) -> tuple[bytes, bytes] | None:
        """Return head and body of a replay as the server sends them, or None if there is none."""
        started = time.perf_counter()
        found = self.find(key)
        if found is None:
            return None
        replay, (body, remaining_seconds, age_seconds) = found
        identifier = request_id(replay.client_id)
        caching = freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds)
        length = b"content-length", b"%d" % len(body)
        changing = head_lines((*server_headers, *caching, (b"x-request-id", identifier), length))
        if self._telemetry is not None:
            record = OperationRecord(request_id=identifier.decode(), method=replay.method)
            fill_replay(record, replay.record)
            record.status = 200
            record.bytes = len(body)
            record.seconds = round(time.perf_counter() - started, 6)
            self._telemetry.operation_ended(record)
        return b"%b%b\r\n" % (replay.head, changing), body
