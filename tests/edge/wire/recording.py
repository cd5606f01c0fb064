"""An ASGI app that records what the edge hands to it, and says in each answer what it has seen."""

import asyncio
import hashlib
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import Receive, Scope, Send

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.replay import REPLAY_KEY, REPLAY_STORE, Replay, ReplayStore
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import OperationRecord

SEEN = b"x-seen"
CONDUCT = "conduct"
RECORD = OperationRecord(request_id="1", method="POST")


@dataclass(frozen=True, slots=True)
class Conduct:
    """How the app behaves on one connection.

    Args:
        reads_body: or else it answers each request by its head.
        turns: of the loop that it lets pass before it answers, and within each answer.
        parts: messages that an answer's body is sent in.
        remembers: whether whole requests may be answered again without the app.
    """

    reads_body: bool = True
    turns: int = 0
    parts: int = 1
    remembers: bool = False


@dataclass(slots=True)
class Record:
    """One request as the app has seen it.

    Args:
        body: None until all of it has come, and if the app does not read it.
        is_again: whether the edge gave a remembered answer, and the app saw nothing.
    """

    method: bytes
    path: bytes
    query: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None = None
    is_again: bool = False

    @property
    def seen(self) -> bytes:
        return seen(self.method, self.path, self.query, self.body)


def seen(method: bytes, path: bytes, query: bytes, body: bytes | None) -> bytes:
    """What an answer says of its request: a digest of the head, and one of the body unless that is None."""
    head = hashlib.sha256(b"%b %b?%b" % (method, path, query)).hexdigest()[:32]
    return f"{head} {'-' if body is None else hashlib.sha256(body).hexdigest()[:32]}".encode()


@dataclass(slots=True)
class RecordingApp:
    """Answers everything with 200 and a body that repeats `X-Seen`."""

    conduct: Conduct = field(default_factory=Conduct)
    records: list[Record] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """What the lifespan would leave for the server."""
        return {REPLAY_STORE: ReplayStore(Readiness())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(self.state())
            await _live(receive, send)
            return
        record = Record(
            scope["method"].encode(),
            scope["raw_path"],
            scope["query_string"],
            scope["http_version"].encode(),
            tuple(scope["headers"]),
        )
        self.records.append(record)
        conduct = self.conduct
        if conduct.reads_body:
            record.body = await _read(receive)
            if record.body is None:
                return
        await _turns(conduct.turns)
        if conduct.remembers and conduct.reads_body:
            self._remember(scope, record)
        await self._answer(record, conduct, send)

    async def _answer(self, record: Record, conduct: Conduct, send: Send) -> None:
        body = record.seen
        length = b"%d" % (len(body) * conduct.parts)
        headers = [(SEEN, record.seen), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in range(conduct.parts):
            await _turns(conduct.turns)
            await send({"type": "http.response.body", "body": body, "more_body": part + 1 < conduct.parts})

    def _remember(self, scope: MutableMapping[str, Any], record: Record) -> None:
        key = scope["state"].get(REPLAY_KEY)
        # The server gives a remembered answer's body to HEAD too; the gateway remembers none for it.
        if key is not None and record.method != b"HEAD":
            replay = Replay(cast("CachedResponse", _Kept(self, record)), RECORD, ((SEEN, record.seen),))
            scope["state"][REPLAY_STORE].put(key, replay)


class _Kept:
    """The answer to a request for as long as the app lives."""

    def __init__(self, app: RecordingApp, record: Record) -> None:
        self._app = app
        self._record = record

    def get(self) -> tuple[bytes, float, float]:
        record = self._record
        again = Record(
            record.method,
            record.path,
            record.query,
            record.version,
            record.headers,
            record.body,
            is_again=True,
        )
        self._app.records.append(again)
        return again.seen, 30.0, 0.0


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None if the client has gone before."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
