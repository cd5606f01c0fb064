"""Several processes behind one `/metrics`; here they are threads, which the sockets do not notice."""

import socket
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client

import pytest

from gallery_gateway.telemetry.counters import HistogramCounts, Snapshot
from gallery_gateway.telemetry.workers import Gatherer, gathered

SERVED = "operations_total", ()
PAGES = "cache_entries", ()


def told(served: float, pages: float = 0.0) -> Snapshot:
    return Snapshot(counters={SERVED: served}, gauges={PAGES: pages})


def test_the_figures_of_workers_are_added_up() -> None:
    gatherer = Gatherer()

    with gathered(lambda: told(1, 10), port=gatherer.port), gathered(lambda: told(2, 20), port=gatherer.port):
        whole = gatherer.read()

    assert (whole.counters, whole.gauges) == ({SERVED: 3.0}, {PAGES: 30.0})


def test_histograms_are_added_up_bucket_by_bucket() -> None:
    gatherer = Gatherer()
    first = Snapshot(histograms={SERVED: HistogramCounts([1.0], [1, 2], 5.0, {0: ("aa", 0.5, 1.0)})})
    second = Snapshot(histograms={SERVED: HistogramCounts([1.0], [10, 20], 50.0, {1: ("bb", 2.0, 1.0)})})

    with gathered(lambda: first, port=gatherer.port), gathered(lambda: second, port=gatherer.port):
        (buckets,) = gatherer.read().histograms.values()

    assert (buckets.counts, buckets.total) == ([11, 22], 55.0)
    assert {number: exemplar[0] for number, exemplar in buckets.exemplars.items()} == {0: "aa", 1: "bb"}


def test_each_scrape_asks_anew() -> None:
    gatherer = Gatherer()
    served = [1.0]

    with gathered(lambda: told(served[0]), port=gatherer.port):
        first = gatherer.read().counters[SERVED]
        served[0] = 2.0
        second = gatherer.read().counters[SERVED]

    assert (first, second) == (1.0, 2.0)


def test_what_a_worker_had_counted_is_not_lost_when_it_ends_and_what_it_held_is_gone() -> None:
    gatherer = Gatherer()
    served = [1.0]
    with gathered(lambda: told(served[0], 10), port=gatherer.port):
        gatherer.read()
        # Counted after the last scrape of its life.
        served[0] = 5.0

    with gathered(lambda: told(1, 20), port=gatherer.port):
        whole = gatherer.read()

    assert (whole.counters, whole.gauges) == ({SERVED: 6.0}, {PAGES: 20.0})
    assert gatherer.read().counters == {SERVED: 6.0}


def test_a_worker_that_hangs_is_told_as_it_was_and_holds_up_nobody() -> None:
    gatherer = Gatherer(timeouts_seconds=1.0)
    may_answer = threading.Event()
    may_answer.set()
    served = [1.0]

    def read() -> Snapshot:
        may_answer.wait()
        return told(served[0])

    with gathered(read, port=gatherer.port), gathered(lambda: told(10), port=gatherer.port):
        gatherer.read()
        served[0] = 2.0
        may_answer.clear()
        while_it_hangs = gatherer.read().counters[SERVED]
        may_answer.set()

    assert while_it_hangs == 11.0
    assert gatherer.read().counters[SERVED] == 12.0


def test_who_does_not_know_the_key_is_not_heard() -> None:
    gatherer = Gatherer()

    with pytest.raises((AuthenticationError, OSError)):
        Client(("127.0.0.1", gatherer.port), authkey=b"another")
    socket.create_connection(("127.0.0.1", gatherer.port)).close()

    with gathered(lambda: told(1), port=gatherer.port):
        assert gatherer.read().counters == {SERVED: 1.0}
