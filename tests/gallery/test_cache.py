import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, product
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.cache import PageCache, weigh
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.entry import CacheEntry, ResponseKey, WrittenResponse, project_ids_of
from gallery_gateway.gallery.lookup import (
    ACCEPTS_ALL,
    Accepts,
    CachedAnswer,
    Fresh,
    LoadKey,
    Miss,
    StaleWhileRevalidate,
)
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import slice_page
from gallery_gateway.upstream.caching import CachingRules
from gallery_gateway.upstream.contract import Page, UpstreamPagination, UpstreamProject
from gallery_gateway.upstream.decoding import decoder_for, parse_page
from tests.counting import lines_run
from tests.fakes import OTHER_TOKEN, TOKEN
from tests.gallery.endpoints import ManualClock, parsed_page, sized_projects

ADA = Caller(TOKEN, secret=b"s" * 32)
BEN = Caller(OTHER_TOKEN, secret=b"s" * 32)
REQUEST = GalleryRequest()
KIB = 1024


@dataclass
class Kept:
    """A cache with its clock."""

    max_bytes: int = 20 * KIB
    caller_max_bytes: int = 20 * KIB
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.cache = PageCache(
            max_bytes=self.max_bytes, caller_max_bytes=self.caller_max_bytes, clock=self.clock.clock
        )

    def put(self, caller: Caller = ADA, request: GalleryRequest = REQUEST, **fields: Any) -> CacheEntry:
        entry = entry_of(request, now=self.clock.seconds, **fields)
        self.cache.put(caller, entry)
        return entry

    def find(self, caller: Caller = ADA, request: GalleryRequest = REQUEST) -> CachedAnswer | None:
        """A fresh page."""
        return fresh(self.cache.lookup(caller, page_key(request)))

    def has(self, caller: Caller = ADA, request: GalleryRequest = REQUEST) -> bool:
        return self.find(caller, request) is not None

    def has_project(self, caller: Caller, request: GalleryRequest) -> bool:
        return fresh(self.cache.lookup(caller, project_key(request))) is not None


def page_key(request: GalleryRequest, *, needs_links: bool = False) -> LoadKey:
    return LoadKey(request, needs_links, is_project=False)


def project_key(request: GalleryRequest, *, needs_links: bool = False) -> LoadKey:
    return LoadKey(request, needs_links, is_project=True)


def fresh(found: Fresh | StaleWhileRevalidate | Miss) -> CachedAnswer | None:
    return found.answer if isinstance(found, Fresh) else None


def entry_of(
    request: GalleryRequest,
    *,
    now: float,
    size_bytes: int = 100,
    seconds: float = 30,
    revalidating_seconds: float = 0,
    if_error_seconds: float = 0,
    kept_seconds: float = 0,
    asked_at: float | None = None,
    etag: str | None = None,
    page: Page | None = None,
) -> CacheEntry:
    nothing = UpstreamPagination(page=1, per_page=20, total=0, pages=0, has_next=False, has_prev=False)
    page = page or Page(nothing, [])
    body = msgspec.json.encode(page).ljust(size_bytes)
    return CacheEntry(
        request=request,
        body=body,
        project_ids=project_ids_of(page),
        is_unfinished=False,
        received_bytes=len(body),
        rules=CachingRules(etag=etag),
        asked_at=now if asked_at is None else asked_at,
        born_at=now,
        fresh_until=now + seconds,
        revalidate_until=now + seconds + revalidating_seconds,
        stale_until=now + seconds + if_error_seconds,
        keep_until=now + max(seconds + revalidating_seconds, seconds + if_error_seconds, kept_seconds),
        link_margin_seconds=0,
    )


def weight_of(*, pages: float) -> int:
    """What so many pages weigh in a cache."""
    roomy = Kept(max_bytes=1024 * KIB, caller_max_bytes=1024 * KIB)
    roomy.put()
    return int(pages * roomy.cache.size_bytes)


def paged(number: int) -> GalleryRequest:
    return GalleryRequest(page=number)


def test_a_page_is_found_until_its_time_is_over() -> None:
    kept = Kept()
    entry = kept.put(seconds=30)

    kept.clock.step(29.9)
    before = kept.find()
    kept.clock.step(0.1)
    after = kept.find()

    assert before == CachedAnswer(entry, parse_page(entry.body))
    assert after is None


class Decoding:
    """Decodes the names of projects, and counts that."""

    def __init__(self) -> None:
        project = msgspec.defstruct("ProjectPlan", [("project_name", Any)])
        self.decode = decoder_for(msgspec.defstruct("PagePlan", [("projects", list[project])]))  # type: ignore[valid-type]  # made here
        self.decoded = 0

    def __call__(self, body: bytes) -> Page:
        self.decoded += 1
        return self.decode(body)


@dataclass(frozen=True)
class Writer:
    """Writes nothing."""

    number: int = 7

    def __call__(self, page: Page) -> None:
        pass


def alone(request: GalleryRequest, decoder: Any, writer: Writer = Writer()) -> LoadKey:
    """The key of an operation whose only root field is `gallery`."""
    return LoadKey(request, needs_links=False, is_project=False, decoder=decoder, writer=writer)


WRITTEN = WrittenResponse(b"{}", 7, is_unfinished=False)


@pytest.mark.parametrize("wanted", [REQUEST, REQUEST.narrowed(1)], ids=["the page", "a slice"])
def test_a_kept_response_is_found_without_decoding_its_page(wanted: GalleryRequest) -> None:
    kept, decoder = Kept(), Decoding()
    entry, key = kept.put(), alone(wanted, decoder)
    before = fresh(kept.cache.lookup(ADA, key))
    kept.cache.remember(ADA.key, entry, ResponseKey(7, wanted), WRITTEN)

    found = fresh(kept.cache.lookup(ADA, key))

    assert before is not None
    assert before.response is None
    assert found == CachedAnswer(entry, None, response=WRITTEN)
    assert decoder.decoded == 1


@pytest.mark.parametrize(
    "other",
    [alone(REQUEST, parse_page, Writer(8)), alone(REQUEST.narrowed(1), parse_page), page_key(REQUEST)],
    ids=["another writer", "another request", "no writer"],
)
def test_a_kept_response_is_found_by_its_own_writer_and_request_only(other: LoadKey) -> None:
    kept = Kept()
    kept.cache.remember(ADA.key, kept.put(), ResponseKey(7, REQUEST), WRITTEN)

    found = fresh(kept.cache.lookup(ADA, other))

    assert found is not None
    assert found.response is None
    assert found.value is not None


def test_a_lookup_parses_a_page_once_for_all_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    kept.put(page=parsed_page(sized_projects(1, 1, 1), REQUEST))
    keys = [project_key(GalleryRequest(project_id=number)) for number in (1, 2, 3)]
    decode = Mock(side_effect=parse_page._decoder.decode)
    monkeypatch.setattr(parse_page, "_decoder", SimpleNamespace(decode=decode))

    found = kept.cache.lookup_all(ADA, keys)

    assert all(isinstance(each, Fresh) for each in found)
    assert decode.call_count == 1


def test_a_page_of_which_an_operation_needs_all_is_kept_parsed() -> None:
    kept = Kept()
    entry = kept.put()
    light_bytes = kept.cache.size_bytes

    kept.find()

    assert entry.parsed == parse_page(entry.body)
    assert kept.cache.size_bytes == weigh(entry) > light_bytes


def test_a_page_of_which_many_operations_need_a_part_is_kept_parsed() -> None:
    """Operations whose responses are not kept must not decode a large page each time."""
    kept, decoder = Kept(), Decoding()
    entry = kept.put()

    parsed = []
    for _ in range(6):
        kept.cache.lookup(ADA, alone(REQUEST, decoder))
        parsed.append(entry.parsed is not None)

    assert parsed == [False, False, False, True, True, True]
    assert decoder.decoded == 3
    assert kept.cache.size_bytes == weigh(entry)


def test_a_damaged_page_is_kept_parsed_once_an_operation_has_read_the_damage() -> None:
    kept, decoder = Kept(), Decoding()
    request = GalleryRequest()
    entry = kept.put(page=Page(parsed_page([], request).pagination, [UpstreamProject(1, [], project_name=5)]))  # type: ignore[arg-type]  # damaged

    for _ in range(2):
        kept.cache.lookup(ADA, alone(request, decoder))

    assert entry.parsed is not None
    assert decoder.decoded == 1


def test_a_page_is_found_by_its_own_caller_only() -> None:
    kept = Kept()

    kept.put(ADA)

    assert not kept.has(BEN)


def test_a_project_is_found_by_its_own_caller_only() -> None:
    kept = Kept()
    kept.put(ADA, page=parsed_page(sized_projects(1), REQUEST))
    wanted = GalleryRequest(project_id=1)

    assert kept.has_project(ADA, wanted)
    assert not kept.has_project(BEN, wanted)


def test_a_page_without_time_is_not_kept() -> None:
    kept = Kept()

    kept.put(seconds=0)

    assert not kept.has()
    assert kept.cache.size_bytes == 0


def test_a_page_without_time_takes_the_place_of_the_one_before() -> None:
    kept = Kept()
    kept.put()

    kept.put(seconds=0)

    assert not kept.has()


def test_the_least_recently_used_page_goes_when_the_budget_is_used_up() -> None:
    kept = Kept(max_bytes=weight_of(pages=3.5), caller_max_bytes=weight_of(pages=100))
    kept.put(ADA, paged(1))
    kept.put(BEN, paged(2))
    kept.put(ADA, paged(3))
    kept.has(ADA, paged(1))

    kept.put(ADA, paged(4))

    assert [kept.has(ADA, paged(number)) for number in (1, 3, 4)] == [True, True, True]
    assert not kept.has(BEN, paged(2))


def test_a_page_that_answered_for_a_slice_was_used() -> None:
    kept = Kept(max_bytes=weight_of(pages=3.5), caller_max_bytes=weight_of(pages=100))
    kept.put(ADA, paged(1))
    kept.put(ADA, paged(2))
    kept.put(ADA, paged(3))
    kept.has(ADA, paged(1).narrowed(1))

    kept.put(ADA, paged(4))

    assert kept.has(ADA, paged(1))
    assert not kept.has(ADA, paged(2))


@pytest.mark.parametrize("max_bytes", [0, 99, 4_000])
def test_a_page_larger_than_the_budget_is_not_kept(max_bytes: int) -> None:
    kept = Kept(max_bytes=max_bytes, caller_max_bytes=1024 * KIB)

    kept.put(size_bytes=5_000)

    assert not kept.has()


def test_a_page_larger_than_the_quota_evicts_nothing() -> None:
    kept = Kept(max_bytes=1024 * KIB, caller_max_bytes=20 * KIB)
    kept.put(ADA, paged(1))

    kept.put(ADA, paged(2), size_bytes=20 * KIB)

    assert kept.has(ADA, paged(1))
    assert not kept.has(ADA, paged(2))


def test_pages_of_nothing_use_up_the_budget_too() -> None:
    kept = Kept(max_bytes=10_000)

    for number in range(1, 101):
        kept.put(ADA, paged(number), size_bytes=0)

    assert 0 < sum(kept.has(ADA, paged(number)) for number in range(1, 101)) < 10


def test_a_noisy_caller_evicts_its_own_pages_only() -> None:
    kept = Kept(max_bytes=weight_of(pages=10), caller_max_bytes=weight_of(pages=6))
    kept.put(BEN, paged(1))

    for number in range(1, 201):
        kept.put(ADA, paged(number))

    assert kept.has(BEN, paged(1))
    assert kept.has(ADA, paged(200))
    assert not kept.has(ADA, paged(1))


def test_within_its_quota_a_caller_loses_the_least_recently_used() -> None:
    kept = Kept(max_bytes=weight_of(pages=100), caller_max_bytes=weight_of(pages=3.5))
    for number in (1, 2, 3):
        kept.put(ADA, paged(number))
    kept.has(ADA, paged(1))

    kept.put(ADA, paged(4))

    assert [kept.has(ADA, paged(number)) for number in (1, 2, 3, 4)] == [True, False, True, True]


def test_a_purge_forgets_one_caller_only() -> None:
    kept = Kept()
    kept.put(ADA, paged(1))
    kept.put(ADA, paged(2))
    kept.put(BEN, paged(1))

    kept.cache.purge(ADA.key)

    assert not kept.has(ADA, paged(1))
    assert not kept.has(ADA, paged(2))
    assert kept.has(BEN, paged(1))


def test_a_purge_of_somebody_unknown_is_no_error() -> None:
    kept = Kept()

    kept.cache.purge(BEN.key)

    assert kept.cache.size_bytes == 0


def test_what_is_purged_leaves_nothing_behind() -> None:
    kept = Kept()
    kept.put(ADA, paged(1))
    kept.put(ADA, GalleryRequest(status="failed"))

    kept.cache.purge(ADA.key)

    assert kept.cache.size_bytes == 0
    assert kept.cache._callers == {}


def test_what_has_had_its_time_leaves_nothing_behind() -> None:
    kept = Kept()
    for number in range(1, 4):
        kept.put(ADA, paged(number), seconds=number)
        kept.put(BEN, paged(number), seconds=number)

    kept.clock.step(3)
    kept.cache.put(ADA, entry_of(paged(9), now=kept.clock.seconds, seconds=0))

    assert kept.cache.size_bytes == 0
    assert kept.cache._callers == {}


def test_what_is_past_its_time_is_removed_on_needs() -> None:
    kept = Kept()
    kept.put(ADA, paged(1), seconds=1)
    kept.put(BEN, paged(1), seconds=30)

    kept.clock.step(1)
    kept.cache.remove_expired()

    assert len(kept.cache) == 1
    assert list(kept.cache._callers) == [BEN.key]


def test_a_listing_without_pages_leaves_nothing_behind() -> None:
    kept = Kept()
    kept.put(ADA, paged(1), seconds=30)
    kept.put(ADA, GalleryRequest(status="failed"), seconds=3)
    kept.clock.step(3)

    kept.put(BEN)

    index = kept.cache._callers[ADA.key]
    assert list(index._pages) == [paged(1).listing]
    assert list(index._projects) == [paged(1).images]


def test_an_answer_that_was_overtaken_by_a_later_one_does_not_replace_it() -> None:
    kept = Kept()
    kept.clock.step(10)
    later = kept.put(asked_at=kept.clock.seconds - 1)

    kept.put(asked_at=kept.clock.seconds - 5)

    assert kept.find() == CachedAnswer(later, parse_page(later.body))


def test_a_page_past_its_freshness_can_be_renewed_by_its_etag() -> None:
    kept = Kept()
    entry = kept.put(seconds=30, kept_seconds=330, etag='"a"')

    kept.clock.step(329)

    assert not kept.has()
    assert kept.cache.revalidatable(ADA, REQUEST) is entry


@pytest.mark.parametrize(
    ("caller", "request_"), [(BEN, REQUEST), (ADA, paged(2)), (ADA, REQUEST.narrowed(1))]
)
def test_only_the_very_page_of_the_very_caller_can_be_renewed(
    caller: Caller, request_: GalleryRequest
) -> None:
    kept = Kept()

    kept.put(ADA, REQUEST, etag='"a"')

    assert kept.cache.revalidatable(caller, request_) is None


def steps_of_a_lookup(*, pages: int, key: LoadKey, spread: Callable[[int], GalleryRequest]) -> int:
    """The lines that a lookup runs, with so many pages of one caller in the cache."""
    kept = Kept(max_bytes=1024**3, caller_max_bytes=1024**3)
    for number in range(pages):
        request = spread(number)
        kept.put(request=request, if_error_seconds=3_600, page=parsed_page(sized_projects(1, 1), request))
    kept.clock.step(30)
    return lines_run(lambda: kept.cache.lookup(ADA, key))


@pytest.mark.parametrize("key", [page_key(GalleryRequest(page=7)), project_key(GalleryRequest(project_id=1))])
@pytest.mark.parametrize(
    "spread",
    [
        lambda number: GalleryRequest(page=1 + number),
        lambda number: GalleryRequest(per_page=20 + number // 40, max_images_per_project=51 + number % 40),
        lambda number: GalleryRequest(search=f"text {number}"),
        lambda number: GalleryRequest(project_id=1 + number),
    ],
    ids=["pages of a list", "sizes of pages", "lists", "projects"],
)
def test_a_lookup_costs_no_more_with_more_pages(
    key: LoadKey, spread: Callable[[int], GalleryRequest]
) -> None:
    few = steps_of_a_lookup(pages=100, key=key, spread=spread)
    many = steps_of_a_lookup(pages=3_000, key=key, spread=spread)

    assert many <= 1.1 * few


def steps_of_a_put(*, pages: int, callers: int, spare: int) -> int:
    """The lines that keeping a page runs, with so many pages in the cache, and room for `spare` more."""
    max_bytes = weight_of(pages=pages + spare + 0.5)
    kept = Kept(max_bytes=max_bytes, caller_max_bytes=max_bytes)
    those = [Caller(f"made-up-{number}", secret=b"s" * 32) for number in range(callers)]
    for number in range(pages):
        kept.put(those[number % callers], paged(1 + number), seconds=1 + number % 50)
    entry = entry_of(paged(pages + 1), now=kept.clock.seconds)

    steps = lines_run(lambda: kept.cache.put(ADA, entry))

    assert len(kept.cache) == pages + min(spare, 1)
    return steps


@pytest.mark.parametrize("spare", [0, 1], ids=["full", "room"])
@pytest.mark.parametrize("are_many", [False, True], ids=["one caller", "many callers"])
def test_keeping_a_page_and_evicting_one_cost_no_more_with_more_pages(spare: int, *, are_many: bool) -> None:
    few, many = (
        steps_of_a_put(pages=pages, callers=pages if are_many else 1, spare=spare) for pages in (100, 3_000)
    )

    assert many <= 1.1 * few


def test_a_full_cache_is_little_work_for_the_garbage_collector() -> None:
    """It tracks nothing of a page but what the headers of its response said about caching.

    Python 3.14 tracks another object of each page.
    """
    tracked = 1 if sys.version_info < (3, 14) else 2
    kept = Kept(max_bytes=1024**3, caller_max_bytes=1024**3)
    kept.put(ADA, paged(1))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(2, 302):
        entry = kept.put(ADA, paged(number), page=parsed_page(sized_projects(1, 1), paged(number)))
        kept.cache.remember(ADA.key, entry, ResponseKey(7, entry.request), WRITTEN)

    gc.collect()

    assert len(gc.get_objects()) - before < 300 * tracked + 30


def test_a_page_without_an_etag_cannot_be_renewed() -> None:
    kept = Kept()

    kept.put(seconds=30)

    assert kept.cache.revalidatable(ADA, REQUEST) is None


def test_time_that_passes_meanwhile_leaves_nothing_half_done() -> None:
    """A page may end between any two looks at the clock."""
    ticking = count()
    cache = PageCache(
        max_bytes=40 * KIB, caller_max_bytes=20 * KIB, clock=Clock(monotonic=lambda: float(next(ticking)))
    )
    cache.put(ADA, entry_of(paged(9), now=float(next(ticking)), seconds=9_000))
    for seconds, delay in product(range(30), range(6)):
        entry = entry_of(paged(1 + seconds % 5), now=float(next(ticking)), seconds=seconds)
        cache.put(ADA, entry)
        for _ in range(delay):
            next(ticking)
        cache.remember(
            ADA.key, entry, ResponseKey(7, entry.request), WrittenResponse(b"x" * 100, 0, is_unfinished=False)
        )
        size_bytes = cache.size_bytes
        assert sum(index.size_bytes for index in cache._callers.values()) == size_bytes

    for _ in range(9_000):
        next(ticking)
    cache.put(ADA, entry_of(paged(9), now=float(next(ticking)), seconds=0))

    assert cache.size_bytes == 0
    assert cache._callers == {}


CALLERS = [Caller(f"made-up-{number}", secret=b"s" * 32) for number in range(3)]
REQUESTS = [
    GalleryRequest(per_page=per_page, page=page, max_images_per_project=cap, status=status)
    for per_page in (2, 4)
    for page in (1, 2)
    for cap in (1, 3)
    for status in (None, "failed")
]
SIMULATED = sized_projects(2, 0, 5, 1, 3)


def expected_case(
    entry: CacheEntry, failed: str | None, accepts: Accepts, now: float
) -> type[StaleWhileRevalidate | Miss] | None:
    """How an entry that is not fresh answers, by the words of RFC 5861 and of the docs."""
    has_failed = failed is not None or (entry.failure is not None and now - entry.failure[1] < 60)
    if has_failed:
        is_accepted = entry.stale_until > now and now - entry.fresh_until < accepts.if_error_seconds
        return Miss if is_accepted else None
    return StaleWhileRevalidate if accepts.fresh and entry.revalidate_until > now else None


class CacheMachine(RuleBasedStateMachine):
    """Any order of puts, finds, purges and clock steps keeps the books in order."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Kept(max_bytes=300 * KIB, caller_max_bytes=140 * KIB)
        self.put_by: dict[Caller, set[int]] = {caller: set() for caller in CALLERS}
        self.entries: list[CacheEntry] = []

    @rule(
        caller=st.sampled_from(CALLERS),
        request=st.sampled_from(REQUESTS),
        size_bytes=st.integers(min_value=0, max_value=20 * KIB),
        seconds=st.integers(min_value=-1, max_value=20),
        revalidating_seconds=st.sampled_from([0, 5]),
        if_error_seconds=st.sampled_from([0, 15]),
        renewal=st.sampled_from([0, 15]),
    )
    def put(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        size_bytes: int,
        seconds: int,
        revalidating_seconds: int,
        if_error_seconds: int,
        renewal: int,
    ) -> None:
        entry = self.kept.put(
            caller,
            request,
            size_bytes=size_bytes,
            seconds=seconds,
            revalidating_seconds=revalidating_seconds,
            if_error_seconds=if_error_seconds,
            kept_seconds=seconds + renewal,
            page=parsed_page(SIMULATED, request),
        )
        self.put_by[caller].add(id(entry.body))
        self.entries.append(entry)  # so that no id is used twice

    @rule(
        caller=st.sampled_from(CALLERS),
        request=st.sampled_from(REQUESTS),
        failed=st.sampled_from([None, "UPSTREAM_TIMEOUT"]),
        accepts=st.sampled_from([ACCEPTS_ALL, Accepts(if_error_seconds=5), Accepts(fresh=False)]),
    )
    def lookup(
        self, caller: Caller, request: GalleryRequest, *, failed: str | None, accepts: Accepts
    ) -> None:
        """The same as a look at every entry finds, from the youngest on."""
        answers, now = self._answers(caller, request), self.kept.clock.seconds
        fresh_ones = [entry for entry in answers if accepts.fresh and entry.fresh_until > now]
        stale = [(entry, expected_case(entry, failed, accepts, now)) for entry in answers]
        stale_entry, case = next(((entry, case) for entry, case in stale if case), (None, Miss))

        found = self.kept.cache.lookup(caller, page_key(request, needs_links=True), accepts, failed=failed)

        answer = found.fallback if isinstance(found, Miss) else found.answer
        assert type(found) is (Fresh if fresh_ones else case)
        assert (answer is None) == (not fresh_ones and stale_entry is None)
        if answer is not None:
            assert answer.value == parsed_page(SIMULATED, request)
            assert id(answer.entry.body) in self.put_by[caller]
            assert answer.entry in [*fresh_ones, stale_entry]
            assert (answer.staleness is None) == bool(fresh_ones)

    @rule(caller=st.sampled_from(CALLERS), request=st.sampled_from(REQUESTS))
    def fail(self, caller: Caller, request: GalleryRequest) -> None:
        self.kept.cache.note_failure(caller, page_key(request), "UPSTREAM_UNAVAILABLE")

    def _answers(self, caller: Caller, request: GalleryRequest) -> list[CacheEntry]:
        """The caller's entries that can answer, from the youngest on."""
        entries = [
            entry
            for entry in self.entries
            if self.kept.cache.use(caller.key, entry.request) is entry
            and entry.request.listing == request.listing
            and slice_page(parse_page(entry.body), of=entry.request, to=request) is not None
        ]
        return sorted(entries, key=attrgetter("asked_at"), reverse=True)

    @rule(
        caller=st.sampled_from(CALLERS),
        request=st.sampled_from(REQUESTS),
        writer=st.integers(min_value=0, max_value=12),
        size_bytes=st.integers(min_value=0, max_value=60 * KIB),
    )
    def remember(self, caller: Caller, request: GalleryRequest, writer: int, size_bytes: int) -> None:
        found = self.kept.find(caller, request)
        if found is not None:
            key = ResponseKey(writer, request)
            response = WrittenResponse(b"x" * size_bytes, 0, is_unfinished=False)
            self.kept.cache.remember(caller.key, found.entry, key, response)

    @rule(caller=st.sampled_from(CALLERS), project_id=st.integers(1, 6), cap=st.integers(1, 6))
    def find_project(self, caller: Caller, project_id: int, cap: int) -> None:
        wanted = GalleryRequest(project_id=project_id, max_images_per_project=cap)
        found = fresh(self.kept.cache.lookup(caller, project_key(wanted, needs_links=True)))
        if found is not None:
            assert [found.value] == parsed_page(SIMULATED, wanted).projects
            assert id(found.entry.body) in self.put_by[caller]

    @rule(caller=st.sampled_from(CALLERS))
    def purge(self, caller: Caller) -> None:
        self.kept.cache.purge(caller.key)

        assert not any(self.kept.has(caller, request) for request in REQUESTS)

    @rule(seconds=st.sampled_from([0.5, 3, 10, 40]))
    def step(self, seconds: float) -> None:
        self.kept.clock.step(seconds)

    @invariant()
    def the_budgets_hold(self) -> None:
        cache = self.kept.cache
        assert cache.size_bytes <= self.kept.max_bytes
        assert all(index.size_bytes <= self.kept.caller_max_bytes for index in cache._callers.values())

    @invariant()
    def the_indexes_hold_what_the_cache_holds_and_nothing_else(self) -> None:
        cache = self.kept.cache
        cache.remove_expired()
        assert sum(index.size_bytes for index in cache._callers.values()) == cache.size_bytes
        held = {entry: index for index in cache._callers.values() for entry in index.entries.values()}
        assert held == cache._entries
        assert sum(entry.weight_bytes for entry in held) == cache.size_bytes
        assert {entry for entries in cache._expiring._by_second.values() for entry in entries} == set(held)
        assert all(index.caller_key == key for key, index in cache._callers.items())
        for index in cache._callers.values():
            index._complete()
            shapes = [shape for shapes in index._pages.values() for shape in shapes.values()]
            pages = [entry for shape in shapes for entry in shape.values()]
            assert sorted(map(id, pages)) == sorted(map(id, index.entries.values()))
            projects = {
                id(e) for caps in index._projects.values() for each in caps.values() for e in each.values()
            }
            assert projects <= set(map(id, pages))
            assert all(shapes)
            assert all(index._projects.values())
            assert index.entries


CacheMachine.TestCase.settings = settings(stateful_step_count=40)
TestCacheMachine = CacheMachine.TestCase
