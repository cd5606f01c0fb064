"""The store of replays: no caller finds the replay of another, or one that has ended."""

import random
from dataclasses import dataclass, field
from typing import cast

import pytest

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.replay import CachedBody, Replay, ReplayKey, ReplayStore
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import OperationRecord

CALLERS = [b"Bearer ada", b"Bearer ben", b"Bearer a"]
BODIES = [b"", b"{}", b'{"query":"{a}"}', b"da{}", b"n{}"]
MAX_REPLAYS = 8
STEPS = 2_000
TTL = 20
RECORD = OperationRecord(request_id="1", method="POST")


@dataclass
class Page:
    """A cached page with the body that was written of it."""

    body: bytes
    expires_at: int
    clock: "Clock"
    is_kept: bool = True

    def get(self) -> CachedBody | None:
        remaining = self.expires_at - self.clock.now
        return (self.body, remaining, 0.0) if self.is_kept and remaining > 0 else None


@dataclass
class Clock:
    now: int = 0


@dataclass
class Walk:
    """Callers who share a store; the keys that were used last stand at the end of `recent`."""

    chance: random.Random
    clock: Clock = field(default_factory=Clock)
    store: ReplayStore = field(default_factory=lambda: ReplayStore(Readiness(), max_replays=MAX_REPLAYS))
    pages: dict[bytes, list[Page]] = field(default_factory=dict)
    stored: dict[ReplayKey, Page] = field(default_factory=dict)
    recent: list[ReplayKey] = field(default_factory=list)
    outcomes: set[str] = field(default_factory=set)

    def use(self, key: ReplayKey) -> None:
        self.recent = [*(other for other in self.recent if other != key), key][-MAX_REPLAYS:]

    def forget(self, key: ReplayKey) -> None:
        self.recent = [other for other in self.recent if other != key]

    def ask(self) -> None:
        """Look a request up as the server does, then as the endpoint does, and run it if neither finds it."""
        caller, body = self.chance.choice(CALLERS), self.chance.choice(BODIES)
        wire = b"POST /\r\nauthorization: %b\r\n\r\n%b" % (caller, body)
        wire_key = self.store.wire_key(wire)
        key = self.store.request_key("POST", b"", caller, body)
        assert key is not None
        assert wire_key is not None
        response = self.store.respond(wire_key, [])
        self.check(wire_key, response and response[1], caller, body)
        if response is not None:
            assert response[0].startswith(b"HTTP/1.1 200 OK\r\nx-caller: %b\r\n" % caller)
            return
        found = self.store.find(key)
        self.check(key, found and found[1][0], caller, body)
        if found is not None:
            self.put(wire_key, found[0].for_server([(b"x-caller", caller)], method="POST", client_id=None))
            self.stored[wire_key] = self.stored[key]
            return
        page = Page(caller + b" asked for " + body, self.clock.now + TTL, self.clock)
        self.pages.setdefault(caller, []).append(page)
        self.stored[key] = page
        self.put(key, Replay(cast("CachedResponse", page), RECORD))

    def put(self, key: ReplayKey, replay: Replay) -> None:
        self.store.put(key, replay)
        self.use(key)

    def check(self, key: ReplayKey, given: bytes | None, caller: bytes, body: bytes) -> None:
        """A body is the caller's own, and is given if and only if it has neither ended nor been evicted."""
        page = self.stored.get(key)
        is_live = page is not None and page.get() is not None
        expected = caller + b" asked for " + body if is_live and key in self.recent else None
        assert given == expected
        if given is not None:
            self.use(key)
            self.outcomes.add("hit")
        elif is_live:
            self.outcomes.add("evicted")
        elif page is not None:
            self.outcomes.add("ended")
            self.forget(key)

    def purge(self) -> None:
        for page in self.pages.pop(self.chance.choice(CALLERS), []):
            page.is_kept = False


@pytest.mark.parametrize("seed", range(5))
def test_no_walk_gives_a_caller_the_response_of_another_or_one_that_has_ended(seed: int) -> None:
    walk = Walk(random.Random(seed))

    for _ in range(STEPS):
        walk.chance.choices([walk.ask, walk.purge], [40, 1])[0]()
        walk.clock.now += walk.chance.choice([0, 0, 0, 1])
        assert len(walk.store._replays) <= MAX_REPLAYS

    assert walk.outcomes == {"hit", "evicted", "ended"}


def test_requests_whose_parts_differ_have_different_keys() -> None:
    store = ReplayStore(Readiness())
    parts = [
        ("GET", b"", b"Bearer a", b"b{}"),
        ("GET", b"", b"Bearer ab", b"{}"),
        ("GET", b"b", b"Bearer a", b"{}"),
        ("GET", b"b{}", b"Bearer a", b""),
        ("POST", b"", b"Bearer a", b"b{}"),
    ]

    keys = {store.request_key(*part) for part in parts}

    assert len(keys) == len(parts)


def test_the_bytes_of_a_request_are_not_the_key_of_a_parsed_one() -> None:
    store = ReplayStore(Readiness())

    key = store.request_key("POST", b"", b"Bearer a", b"{}")

    assert key != store.wire_key(b"POST 8 0 Bearer a{}")


def test_a_request_without_a_token_has_no_key() -> None:
    assert ReplayStore(Readiness()).request_key("POST", b"", None, b"{}") is None


def test_two_processes_have_different_keys_for_one_request() -> None:
    one, other = ReplayStore(Readiness()), ReplayStore(Readiness())

    assert one.wire_key(b"GET /") != other.wire_key(b"GET /")


@pytest.mark.parametrize(("size_bytes", "has_key"), [(8_192, True), (8_193, False)])
def test_a_large_request_has_no_key(size_bytes: int, has_key: bool) -> None:
    store = ReplayStore(Readiness())

    keys = [store.request_key("POST", b"", b"Bearer a", b" " * size_bytes), store.wire_key(b" " * size_bytes)]

    assert [key is not None for key in keys] == [has_key] * 2
