import pytest
from tests.fakes import OTHER_TOKEN, TOKEN

from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.client import FetchedPage
from gallery_gateway.upstream.contract import Page, Pagination

ADA = Caller(TOKEN, secret=b"s" * 32)
BEN = Caller(OTHER_TOKEN, secret=b"s" * 32)
REQUEST = GalleryRequest()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def page(size_bytes: int = 100) -> FetchedPage:
    pagination = Pagination(page=1, per_page=20, total=0, pages=0, has_next=False, has_prev=False)
    return FetchedPage(Page(pagination, []), size_bytes)


def test_a_page_is_got_until_its_time_to_live_is_over() -> None:
    clock = Clock()
    cache = PageCache(ttl_seconds=30, max_bytes=10_000, clock=clock)
    kept = page()
    cache.put(ADA, REQUEST, kept)

    clock.now += 29.9
    before = cache.get(ADA, REQUEST)
    clock.now += 0.1
    after = cache.get(ADA, REQUEST)

    assert before is kept.page
    assert after is None


def test_a_page_is_got_by_its_own_caller_only() -> None:
    cache = PageCache(ttl_seconds=30, max_bytes=10_000)
    cache.put(ADA, REQUEST, page())

    assert cache.get(BEN, REQUEST) is None


def test_a_time_to_live_of_nothing_keeps_nothing() -> None:
    cache = PageCache(ttl_seconds=0, max_bytes=10_000)
    cache.put(ADA, REQUEST, page())

    assert cache.get(ADA, REQUEST) is None


def test_the_least_recently_used_page_goes_when_the_budget_is_used_up() -> None:
    cache = PageCache(ttl_seconds=30, max_bytes=10_000)
    first, second, third = (GalleryRequest(page=number) for number in (1, 2, 3))
    cache.put(ADA, first, page(3_500))
    cache.put(ADA, second, page(3_500))
    cache.get(ADA, first)

    cache.put(ADA, third, page(3_500))

    assert cache.get(ADA, first) is not None
    assert cache.get(ADA, second) is None
    assert cache.get(ADA, third) is not None


@pytest.mark.parametrize("max_bytes", [0, 99, 1_000])
def test_a_page_larger_than_the_budget_is_not_kept_and_evicts_nothing(max_bytes: int) -> None:
    cache = PageCache(ttl_seconds=30, max_bytes=max_bytes)

    cache.put(ADA, REQUEST, page(5_000))

    assert cache.get(ADA, REQUEST) is None


def test_pages_of_nothing_use_up_the_budget_too() -> None:
    cache = PageCache(ttl_seconds=30, max_bytes=10_000)

    for number in range(1, 101):
        cache.put(ADA, GalleryRequest(page=number), page(0))

    assert sum(cache.get(ADA, GalleryRequest(page=n)) is not None for n in range(1, 101)) < 10
