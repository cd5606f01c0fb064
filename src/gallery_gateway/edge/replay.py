"""Replays: responses to requests that came before, sent without running an operation.

A replay has no body of its own. It refers to the body that is cached with a page, and ends with that page's
freshness. It is found by what a response depends on: method, target, body, and the headers that are read, the
token among them. What a proxy adds to each request changes nothing. The server looks requests up before it
makes a task for them, the endpoint those that came in several pieces.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from cachetools import LRUCache

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.request import KEYED_HEADERS, Headers, request_id
from gallery_gateway.edge.responses import RawHeader, freshness_headers, head_lines
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import COMPILED, QUERY, OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry

REPLAY_STORE = "replay_store"
"""The key of the store in the state of the lifespan, where the server finds it."""

REPLAY_KEY = "gallery_gateway.replay_key"
"""The key, in the state of a request, of the `ReplayKey` under which the server has found no replay."""

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
    record.kind = QUERY
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
        headers: those that are the same each time.

    `head` is the status line and these headers, as the server sends them.
    """

    response: CachedResponse
    record: OperationRecord
    headers: tuple[RawHeader, ...]
    head: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.head = b"HTTP/1.1 200 OK\r\n" + head_lines(self.headers)


class ReplayStore:
    """The replays of one process; the least recently used one is evicted.

    Args:
        readiness: says when the process leaves.
        telemetry: records the replays of the server; None if telemetry is off.
        max_replays: how many replays, of about 1 KB each, are kept.
    """

    def __init__(
        self, readiness: Readiness, telemetry: Telemetry | None = None, *, max_replays: int = 8_192
    ) -> None:
        self._readiness = readiness
        self._telemetry = telemetry
        self._replays: LRUCache[ReplayKey, Replay] = LRUCache(max_replays)
        self._secret = secrets.token_bytes(32)

    @property
    def is_leaving(self) -> bool:
        """Whether connections have to close, so that the app must respond."""
        return self._readiness.is_leaving

    def key(self, method: str, target: bytes, headers: Headers, body: bytes) -> ReplayKey | None:
        """Return the key of a request, or None if it is a HEAD, has no token, or is too large to be replayed.

        `target` is the path, with the query string if there is one.
        """
        if len(body) > _MAX_REQUEST_BYTES or b"authorization" not in headers or method == "HEAD":
            return None
        # With its lengths, no two requests have the same text.
        text = msgspec.msgpack.encode((method, target, [*map(headers.get, KEYED_HEADERS)], body))
        if len(text) > _MAX_REQUEST_BYTES:
            return None
        return hashlib.blake2b(text, key=self._secret, digest_size=32).digest()

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
        self, key: ReplayKey | None, method: str, headers: Headers, server_headers: Sequence[RawHeader]
    ) -> tuple[bytes, bytes] | None:
        """Return head and body of a replay as the server sends them, or None if there is none."""
        started = time.perf_counter()
        found = self.find(key)
        if found is None:
            return None
        replay, (body, remaining_seconds, age_seconds) = found
        identifier = request_id(headers.get(b"x-request-id"))
        caching = freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds)
        length = b"content-length", b"%d" % len(body)
        changing = head_lines((*server_headers, *caching, (b"x-request-id", identifier), length))
        if self._telemetry is not None:
            record = OperationRecord(request_id=identifier.decode(), method=method)
            fill_replay(record, replay.record)
            record.status = 200
            record.bytes = len(body)
            record.seconds = round(time.perf_counter() - started, 6)
            self._telemetry.operation_replayed(record, headers)
        return b"%b%b\r\n" % (replay.head, changing), body
