"""The store of replays: no caller finds the replay of another, or one that has ended."""

import random
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.edge.app import Readiness
from gallery_gateway.edge.replay import CachedBody, Replay, ReplayKey, ReplayStore
from gallery_gateway.edge.request import KEYED_HEADERS, Headers
from gallery_gateway.gallery.gallery import CachedResponse
from gallery_gateway.telemetry.records import OperationRecord

CALLERS = [b"Bearer ada", b"Bearer ben", b"Bearer a"]
BODIES = [b"", b"{}", b'{"query":"{a}"}', b"da{}", b"n{}"]
MAX_REPLAYS = 8
STEPS = 2_000
TTL = 20
CALLED = Headers({b"authorization": b"Bearer a"})
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
        """Look a request up as the server or the endpoint does, and run it if it has no replay."""
        caller, body = self.chance.choice(CALLERS), self.chance.choice(BODIES)
        headers = Headers({b"authorization": caller, b"x-request-id": b"%d" % self.chance.randrange(9)})
        key = self.store.key("POST", b"/", headers, body)
        assert key is not None
        if self.chance.random() < 0.5:
            response = self.store.respond(key, "POST", headers, [])
            self.check(key, response and response[1], caller, body)
            assert response is None or response[0].startswith(b"HTTP/1.1 200 OK\r\nx-caller: %b\r\n" % caller)
            is_found = response is not None
        else:
            found = self.store.find(key)
            self.check(key, found and found[1][0], caller, body)
            is_found = found is not None
        if not is_found:
            page = Page(caller + b" asked for " + body, self.clock.now + TTL, self.clock)
            self.pages.setdefault(caller, []).append(page)
            self.stored[key] = page
            self.put(key, Replay(cast("CachedResponse", page), RECORD, ((b"x-caller", caller),)))

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


TEXTS = st.text("ab:/? ", max_size=3).map(str.encode)
HEADERS = st.dictionaries(st.sampled_from(sorted({*KEYED_HEADERS} - {b"authorization"})), TEXTS, max_size=3)
REQUESTS = st.tuples(
    st.text("ab", max_size=2),
    TEXTS,
    HEADERS,
    st.binary(max_size=6) | st.sampled_from([b"\n", b"\n\n", b"a\nb"]),
)


@given(one=REQUESTS, other=REQUESTS)
def test_requests_have_one_key_if_and_only_if_their_parts_are_equal(
    one: tuple[str, bytes, dict[bytes, bytes], bytes], other: tuple[str, bytes, dict[bytes, bytes], bytes]
) -> None:
    store = ReplayStore(Readiness())

    keys = [
        store.key(method, target, Headers({**CALLED, **headers}), body)
        for method, target, headers, body in (one, other)
    ]

    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize("name", sorted({*KEYED_HEADERS} - {b"authorization"}))
def test_each_header_that_a_response_depends_on_is_in_the_key(name: bytes) -> None:
    store = ReplayStore(Readiness())

    keys = {
        store.key("POST", b"/", Headers({**CALLED, **headers}), b"")
        for headers in ({}, {name: b""}, {name: b"1"}, {name: b"2"})
    }

    assert len(keys) == 4


def test_a_request_without_a_token_has_no_key() -> None:
    assert ReplayStore(Readiness()).key("POST", b"/", Headers(), b"{}") is None


def test_two_processes_have_different_keys_for_one_request() -> None:
    one, other = (
        store.key("GET", b"/", CALLED, b"") for store in (ReplayStore(Readiness()), ReplayStore(Readiness()))
    )

    assert one != other


@pytest.mark.parametrize("part", ["target", "token", "body"])
@pytest.mark.parametrize(("size_bytes", "has_key"), [(8_000, True), (8_193, False)])
def test_a_large_request_has_no_key(part: str, size_bytes: int, has_key: bool) -> None:
    text = b" " * size_bytes
    headers = Headers({b"authorization": text}) if part == "token" else CALLED

    key = ReplayStore(Readiness()).key(
        "POST", text if part == "target" else b"/", headers, text if part == "body" else b""
    )

    assert (key is not None) == has_key
