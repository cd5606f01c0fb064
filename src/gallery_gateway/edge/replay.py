"""Replays: responses to requests that came before, sent without running an operation.

A replay has no body of its own. It refers to the body that is cached with a page, and ends with that page's
freshness. Its key is made of all parts of a request that the response depends on. The token is one of them;
most headers that proxies add are not. Both the server and the endpoint look replays up.
"""

import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.policy import RESPONSE_HEADERS
from gallery_gateway.edge.request import request_id
from gallery_gateway.edge.responses import RawHeader, etag_of, freshness_headers, head_lines
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import COMPILED, OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry

REPLAY_STORE = "replay_store"
"""The key of the store in the state of the lifespan, where the server finds it."""

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
        head: the headers that are the same each time.
    """

    response: CachedResponse
    record: OperationRecord
    head: Sequence[RawHeader]
    _etag: bytes | None = None
    _head_bytes: bytes | None = None

    def etag(self, body: bytes) -> bytes:
        """Return the ETag of the body, which is computed once."""
        if self._etag is None:
            self._etag = etag_of(body)
        return self._etag

    def head_bytes(self, method: bytes, body: bytes) -> bytes:
        """Return the status line and the lines of the headers that are the same each time."""
        if self._head_bytes is None:
            etag = [(b"etag", self.etag(body))] if method == b"GET" else []
            self._head_bytes = b"HTTP/1.1 200 OK\r\n" + head_lines([*self.head, *etag])
        return self._head_bytes


class ReplayStore:
    """The replays of one process; the least recently used one is evicted.

    Args:
        readiness: the server sends no replay once the process leaves, since connections then have to close.
        telemetry: records the replays of the server; None if telemetry is off.
        max_replays: how many replays, of about 1 KB each, are kept.
    """

    def __init__(
        self, readiness: Readiness, telemetry: Telemetry | None = None, *, max_replays: int = 8_192
    ) -> None:
        self._readiness = readiness
        self._telemetry = telemetry
        # A trace needs the endpoint for each request.
        self._is_tracing = telemetry is not None and telemetry.is_tracing
        self._replays: LRUCache[ReplayKey, Replay] = LRUCache(max_replays)
        self._secret = secrets.token_bytes(32)

    def key(
        self, method: bytes, target: bytes, headers: Iterable[RawHeader], body: bytes
    ) -> ReplayKey | None:
        """Return the key of a request, or None if it has no token or is too large to be replayed.

        Requests with one key get the same response, but for its `X-Request-ID`, its age, and a 304.

        The target is path and query, as they were sent; the names of headers are in lower case.
        """
        parts = [method, target]
        has_token = False
        for header in headers:
            name = header[0]
            if name in RESPONSE_HEADERS:
                parts += header
                has_token = has_token or name == b"authorization"
        # No part contains a line end, so no two requests have the same text.
        head = b"\n".join(parts)
        if not has_token or len(head) + len(body) > _MAX_REQUEST_BYTES:
            return None
        return hashlib.blake2b(b"%b\n\n%b" % (head, body), key=self._secret, digest_size=32).digest()

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
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[RawHeader],
        body: bytes,
        *,
        server_headers: Sequence[RawHeader],
    ) -> tuple[bytes, bytes] | None:
        """Return head and body of a replay as the server sends them, or None if the app has to respond."""
        started = time.perf_counter()
        if self._is_tracing or self._readiness.is_leaving:
            return None
        found = self.find(self.key(method, target, headers, body))
        if found is None:
            return None
        named = dict(headers)
        if b"if-none-match" in named:
            return None
        replay, (text, remaining_seconds, age_seconds) = found
        identifier = request_id(named.get(b"x-request-id"))
        caching = freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds)
        length = b"content-length", b"%d" % len(text)
        changing = head_lines((*server_headers, *caching, (b"x-request-id", identifier), length))
        if self._telemetry is not None:
            record = OperationRecord(request_id=identifier.decode(), method=method.decode())
            fill_replay(record, replay.record)
            record.status = 200
            record.bytes = len(text)
            record.seconds = round(time.perf_counter() - started, 6)
            self._telemetry.operation_ended(record)
        return b"%b%b\r\n" % (replay.head_bytes(method, text), changing), text
