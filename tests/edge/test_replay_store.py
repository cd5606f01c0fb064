"""The store of replays: no caller finds the replay of another, or one that has ended."""

import random
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.policy import RESPONSE_HEADERS
from gallery_gateway.edge.replay import CachedBody, Replay, ReplayKey, ReplayStore
from gallery_gateway.edge.responses import RawHeader
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
        """Look a request up as the server does, or as the endpoint does, and run it if there is no replay."""
        caller, body = self.chance.choice(CALLERS), self.chance.choice(BODIES)
        headers = [(b"authorization", caller), (b"x-request-id", b"%d" % self.chance.randrange(9))]
        key = self.store.key(b"POST", b"/", headers, body)
        assert key is not None
        if self.chance.random() < 0.5:
            response = self.store.respond(b"POST", b"/", headers, body, server_headers=[])
            self.check(key, response and response[1], caller, body)
            if response is not None:
                assert response[0].startswith(b"HTTP/1.1 200 OK\r\nx-caller: %b\r\n" % caller)
                return
        else:
            found = self.store.find(key)
            self.check(key, found and found[1][0], caller, body)
            if found is not None:
                return
        page = Page(caller + b" asked for " + body, self.clock.now + TTL, self.clock)
        self.pages.setdefault(caller, []).append(page)
        self.stored[key] = page
        self.put(key, Replay(cast("CachedResponse", page), RECORD, [(b"x-caller", caller)]))

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


def key_of(
    store: ReplayStore | None = None,
    *,
    method: bytes = b"POST",
    target: bytes = b"/graphql",
    headers: list[RawHeader] | None = None,
    body: bytes = b"{}",
) -> ReplayKey | None:
    token = [(b"authorization", b"Bearer a")]
    return (store or ReplayStore(Readiness())).key(method, target, token + (headers or []), body)


TEXTS = st.text("ab:/? ", max_size=3).map(str.encode)
HEADERS = st.lists(st.tuples(st.sampled_from(sorted(RESPONSE_HEADERS)), TEXTS), max_size=3)
REQUESTS = st.tuples(
    TEXTS, TEXTS, HEADERS, st.binary(max_size=6) | st.sampled_from([b"\n", b"\n\n", b"a\nb"])
)


@given(one=REQUESTS, other=REQUESTS)
def test_requests_have_one_key_if_and_only_if_their_parts_are_equal(
    one: tuple[bytes, bytes, list[RawHeader], bytes], other: tuple[bytes, bytes, list[RawHeader], bytes]
) -> None:
    store = ReplayStore(Readiness())
    token = [(b"authorization", b"Bearer a")]

    keys = [
        store.key(method, target, token + headers, body) for method, target, headers, body in (one, other)
    ]

    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize("name", sorted(RESPONSE_HEADERS))
def test_each_header_that_a_response_depends_on_is_in_the_key(name: bytes) -> None:
    store = ReplayStore(Readiness())

    keys = {key_of(store, headers=headers) for headers in ([], [(name, b"1")], [(name, b"2")])}

    assert len(keys) == 3


def test_another_header_is_not_in_the_key() -> None:
    store = ReplayStore(Readiness())

    keys = {
        key_of(store, headers=headers) for headers in ([], [(b"x-request-id", b"1")], [(b"cookie", b"a")])
    }

    assert len(keys) == 1


def test_a_request_without_a_token_has_no_key() -> None:
    assert ReplayStore(Readiness()).key(b"POST", b"/", [(b"accept", b"authorization")], b"{}") is None


def test_two_processes_have_different_keys_for_one_request() -> None:
    assert key_of() != key_of()


@pytest.mark.parametrize(("size_bytes", "has_key"), [(8_000, True), (8_193, False)])
def test_a_large_request_has_no_key(size_bytes: int, has_key: bool) -> None:
    assert (key_of(body=b" " * size_bytes) is not None) == has_key
