"""A scrape from another thread reads figures, and changes nothing of what it reads."""

import sys
import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest

from gallery_gateway.app.gallery import read_cache
from gallery_gateway.clock import SYSTEM_CLOCK
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.lookup import LoadKey
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.telemetry.counters import MetricCounters
from tests.gallery.test_cache import entry_of
from tests.telemetry.recording import call, operation

SECONDS = 1.0
CALLERS = [Caller(f"made-up-{number}", secret=b"s" * 32) for number in range(3)]


@pytest.fixture
def forced_switching() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("forced_switching")
def test_scrapes_beside_a_busy_cache_of_short_lived_pages_change_nothing() -> None:
    cache = PageCache(max_bytes=200_000, caller_max_bytes=100_000, clock=SYSTEM_CLOCK)
    counters = MetricCounters(max_operations=1_000_000)
    counters.add_gauges(lambda: read_cache(cache))
    ended = threading.Event()
    failures: list[Exception] = []

    def scrape() -> None:
        while not ended.is_set():
            try:
                counters.snapshot()
            except Exception as exc:  # noqa: BLE001  # whatever it is, the test is to tell
                failures.append(exc)

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        end = time.monotonic() + SECONDS
        for number in count():
            caller = CALLERS[number % 3]
            request = GalleryRequest(page=1 + number % 20)
            cache.put(caller, entry_of(request, now=time.monotonic(), seconds=0.0002))
            cache.lookup(caller, LoadKey(request, needs_links=False, is_project=False))
            counters.operation_ended(operation(f"Name{number}", codes=(f"CODE{number}",)))
            counters.call_ended(call(outcome=f"OUTCOME{number}"))
            if time.monotonic() > end:
                break
    finally:
        ended.set()
        scraper.join()

    assert failures == []
    cache.remove_expired()
    kept = {entry for index in cache._callers.values() for entry in index.entries.values()}
    assert kept == set(cache._entries)
    assert cache.size_bytes == sum(index.size_bytes for index in cache._callers.values())
