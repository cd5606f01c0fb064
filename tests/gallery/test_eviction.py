"""The page cache keeps and evicts what a model made of cachetools' caches does, after any steps."""

from collections.abc import Iterator
from dataclasses import dataclass

from cachetools import LRUCache, TLRUCache
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.gallery.cache import PageCache, weigh
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import CacheEntry, ResponseKey, WrittenResponse
from gallery_gateway.gallery.request import GalleryRequest
from tests.gallery.endpoints import ManualClock
from tests.gallery.test_cache import KIB, entry_of

CALLERS = [Caller(f"made-up-{number}", secret=b"s" * 32) for number in range(3)]
REQUESTS = [GalleryRequest(page=page, max_images_per_project=cap) for page in (1, 2, 3) for cap in (1, 2)]
MAX_BYTES, CALLER_MAX_BYTES = 32 * KIB, 20 * KIB

Place = tuple[CallerKey, GalleryRequest]


@dataclass(frozen=True)
class Step:
    """One step; what its kind does not need is left unused."""

    kind: str
    caller: Caller
    request: GalleryRequest
    size_bytes: int
    seconds: int


class Model:
    """A `TLRUCache` of all pages and an `LRUCache` for each caller; what leaves one leaves the other."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.weights: dict[int, int] = {}
        self.all: TLRUCache[Place, CacheEntry] = TLRUCache(
            MAX_BYTES, lambda _place, entry, _now: entry.keep_until, lambda: clock.seconds, self._weight
        )
        self.own: dict[CallerKey, LRUCache[Place, CacheEntry]] = {
            caller.key: LRUCache(CALLER_MAX_BYTES, self._weight) for caller in CALLERS
        }

    def put(self, place: Place, entry: CacheEntry, weight_bytes: int) -> None:
        self.drop(place)
        self.weights[id(entry)] = weight_bytes
        if weight_bytes <= CALLER_MAX_BYTES and entry.keep_until > self.clock.seconds:
            own = self.own[place[0]]
            own[place] = entry
            for evicted in [each for each in self.all if each[0] == place[0] and each not in own]:
                del self.all[evicted]
            self.all[place] = entry
        self.settle()

    def use(self, place: Place) -> CacheEntry | None:
        self.settle()
        self.own[place[0]].get(place)
        return self.all.get(place)

    def drop(self, place: Place) -> None:
        self.settle()
        self.all.pop(place, None)
        self.own[place[0]].pop(place, None)

    def settle(self) -> None:
        """Remove what has expired or was evicted for another caller."""
        self.all.expire()
        for own in self.own.values():
            for place in [place for place in own if place not in self.all]:
                del own[place]

    def _weight(self, entry: CacheEntry) -> int:
        return self.weights[id(entry)]


STEPS = st.builds(
    Step,
    kind=st.sampled_from(["put"] * 4 + ["use"] * 3 + ["grow"] * 2 + ["wait", "purge"]),
    caller=st.sampled_from(CALLERS),
    request=st.sampled_from(REQUESTS),
    size_bytes=st.sampled_from([0, 100, 1 * KIB, 3 * KIB, 3 * KIB, 24 * KIB]),
    seconds=st.sampled_from([0, 1, 3, 30, 30, 300]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, min_size=30, max_size=80))
def test_the_cache_keeps_what_cachetools_would_keep(steps: list[Step]) -> None:
    clock = ManualClock()
    cache = PageCache(max_bytes=MAX_BYTES, caller_max_bytes=CALLER_MAX_BYTES, clock=clock.clock)
    model = Model(clock)
    made: list[CacheEntry] = []  # so that no id is used twice

    for step in steps:
        run(step, cache, model, clock, made)

        cache.remove_expired()
        model.settle()
        # Reading a value of cachetools would count as a use.
        assert set(kept(cache)) == set(model.all)
        assert cache.size_bytes == model.all.currsize


def run(step: Step, cache: PageCache, model: Model, clock: ManualClock, made: list[CacheEntry]) -> None:
    place = step.caller.key, step.request
    match step.kind:
        case "put":
            entry = entry_of(
                step.request, now=clock.seconds, size_bytes=step.size_bytes, seconds=step.seconds
            )
            made.append(entry)
            cache.put(step.caller, entry)
            model.put(place, entry, weigh(entry))
        case "use":
            assert cache.use(*place) is model.use(place)
        case "grow":
            known = model.use(place)
            if known is not None:
                key = ResponseKey(len(known.responses), known.request)
                cache.remember(
                    step.caller.key,
                    known,
                    key,
                    WrittenResponse(b"x" * step.size_bytes, 0, is_unfinished=False),
                )
                model.put(place, known, weigh(known))
        case "wait":
            clock.step(step.seconds)
        case "purge":
            cache.purge(step.caller.key)
            for listed in list(model.own[step.caller.key]):
                model.drop(listed)
            # A page that was requested in the same second is not kept.
            clock.step(1)


def kept(cache: PageCache) -> Iterator[Place]:
    for caller in CALLERS:
        index = cache._callers.get(caller.key)
        yield from ((caller.key, request) for request in REQUESTS if index and request in index.entries)
