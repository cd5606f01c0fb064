"""Plain counters and histograms, and snapshots of them.

prometheus-client's own counters cost ten times as much; it comes in at a scrape (`metrics`).
"""

import logging
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from gallery_gateway.telemetry.records import CallRecord, OperationRecord

Series = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels, in the order of its declaration."""

Values = dict[Series, float]


class HistogramCounts(msgspec.Struct):
    """A histogram: how many values there were up to each bound, and beyond the last.

    Args:
        exemplars: by bucket, the last traced value: its trace id, itself, and when it was (seconds
            since 1970).
    """

    bounds: list[float]
    counts: list[int]
    total: float
    exemplars: dict[int, tuple[str, float, float]]

    def joined(self, other: "HistogramCounts") -> "HistogramCounts":
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return HistogramCounts(
            self.bounds, counts, self.total + other.total, self.exemplars | other.exemplars
        )


class Snapshot(msgspec.Struct):
    """All figures of one process.

    Args:
        counters: what only grows; it counts on when its process has ended.
        gauges: what stands at its value only while its process lives.
    """

    counters: Values = {}
    histograms: dict[Series, HistogramCounts] = {}
    gauges: Values = {}

    def lasting(self) -> "Snapshot":
        """What is left of it when its process has ended."""
        return Snapshot(self.counters, self.histograms)


def join(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of them all."""
    whole = Snapshot()
    for snapshot in snapshots:
        _add(whole.counters, snapshot.counters)
        _add(whole.gauges, snapshot.gauges)
        for series, buckets in snapshot.histograms.items():
            known = whole.histograms.get(series)
            whole.histograms[series] = known.joined(buckets) if known else buckets
    return whole


def _add(whole: Values, part: Values) -> None:
    for series, value in part.items():
        whole[series] = whole.get(series, 0.0) + value


# In seconds: a hot answer takes a tenth of a millisecond, and a call of the endpoint up to half a minute.
DURATION_BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """How many values fell into each bucket, with the last traced one of each.

    Args:
        bounds: the largest value of each bucket but the last, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_exemplars", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._exemplars: dict[int, tuple[str, float, float]] = {}

    def observe(self, value: float, trace_id: str | None = None) -> None:
        bucket = bisect_left(self._bounds, value)
        self._counts[bucket] += 1
        self._total += value
        if trace_id is not None:
            self._exemplars[bucket] = trace_id, value, time.time()

    def buckets(self) -> HistogramCounts:
        return HistogramCounts(list(self._bounds), self._counts[:], self._total, dict(self._exemplars))


# What stands in a name's place.
_ANONYMOUS = "anonymous"
_NONE = "none"
_OTHER = "other"
_LONGEST_NAME = 64

# Each name is a time series of 18 buckets for each outcome and executor, in Prometheus and in every scrape.
_MAX_OPERATIONS = 100

Readings = Callable[[], Snapshot]
"""Reads what other parts count and stand at."""


class MetricCounters:
    """Counts what it is told of.

    Args:
        max_operations: names that are counted apart; clients choose them, and label values must be few.
    """

    def __init__(self, *, max_operations: int = _MAX_OPERATIONS) -> None:
        self._max_operations = max_operations
        self._gauges: list[Readings] = []
        self._names: set[str] = {_OTHER}
        self._operations: dict[tuple[str | None, str, str | None], Histogram] = {}
        self._errors: Counter[tuple[str | None, str]] = Counter()
        self._calls: dict[tuple[str, int | None], Histogram] = {}
        self._failures: Counter[str] = Counter()
        self._lag = Histogram(LAG_BOUNDS)
        self._hits = self._shared = self._stale = self._misses = self._collapsed = self._merged = 0
        self._answered_bytes = self._saved_bytes = self._narrowed_images = 0
        self._received_bytes = self._retries = 0

    def operation_ended(self, record: OperationRecord) -> None:
        known = self._operations.get((record.operation, record.outcome, record.executor))
        if known is None:
            known = self._histogram(record)
        known.observe(record.seconds, record.trace_id)
        self._hits += record.hits
        self._shared += record.shared
        self._stale += record.stale
        self._misses += record.calls
        self._collapsed += record.collapsed
        self._merged += record.merged
        self._answered_bytes += record.bytes
        self._saved_bytes += record.saved_bytes
        self._narrowed_images += record.narrowed_images
        for code in record.codes:
            self._errors[self._bounded(record.operation), code] += 1

    def call_ended(self, record: CallRecord, *, log_level: int = logging.INFO) -> None:  # noqa: ARG002  # for logs
        key = record.outcome, record.status
        known = self._calls.get(key)
        if known is None:
            known = self._calls[key] = Histogram(DURATION_BOUNDS)
        known.observe(record.seconds, record.trace_id)
        if record.reason is not None:
            self._failures[record.reason] += 1
        self._received_bytes += record.bytes
        self._retries += record.attempt > 1

    def lagged(self, seconds: float) -> None:
        """The event loop was late by so much."""
        self._lag.observe(seconds)

    def read(self, gauges: Readings) -> None:
        """Takes these readings with each snapshot, in whatever thread it is asked for."""
        self._gauges.append(gauges)

    def snapshot(self) -> Snapshot:
        """All figures of now; may be asked for from any thread."""
        own = Snapshot(self._counters(), self._histograms(), {("workers", ()): 1.0})
        return join([own, *(gauges() for gauges in self._gauges)])

    def _histogram(self, record: OperationRecord) -> Histogram:
        key = self._bounded(record.operation), record.outcome, record.executor
        return self._operations.setdefault(key, Histogram(DURATION_BOUNDS))

    def _bounded(self, name: str | None) -> str | None:
        """The name, or what stands for all that are one too many or too long."""
        if name is None or name in self._names:
            return name
        # The first of the names stands for the rest.
        if len(self._names) > self._max_operations or len(name) > _LONGEST_NAME:
            return _OTHER
        self._names.add(name)
        return name

    def _counters(self) -> Values:
        sources = {
            "hit": self._hits,
            "shared": self._shared,
            "stale": self._stale,
            "miss": self._misses,
            "collapsed": self._collapsed,
            "merged": self._merged,
        }
        # Copied at once, which `list(items())` is not: the event loop goes on counting meanwhile.
        errors, failures = dict(self._errors), dict(self._failures)
        return {
            **{("answers_total", (source,)): float(count) for source, count in sources.items()},
            **{
                ("operation_errors_total", (name or _NONE, code)): float(n)
                for (name, code), n in errors.items()
            },
            **{("upstream_call_failures_total", (reason,)): float(n) for reason, n in failures.items()},
            ("response_bytes_total", ()): float(self._answered_bytes),
            ("saved_bytes_total", ()): float(self._saved_bytes),
            ("narrowed_images_total", ()): float(self._narrowed_images),
            ("upstream_received_bytes_total", ()): float(self._received_bytes),
            ("upstream_retries_total", ()): float(self._retries),
        }

    def _histograms(self) -> dict[Series, HistogramCounts]:
        operations, calls = dict(self._operations), dict(self._calls)
        return {
            **{
                (
                    "operation_duration_seconds",
                    (_shown(name, outcome), outcome, executor or _NONE),
                ): known.buckets()
                for (name, outcome, executor), known in operations.items()
            },
            **{
                ("upstream_call_duration_seconds", (outcome, str(status or _NONE))): known.buckets()
                for (outcome, status), known in calls.items()
            },
            ("event_loop_lag_seconds", ()): self._lag.buckets(),
        }


def _shown(name: str | None, outcome: str) -> str:
    if name is not None:
        return name
    return _NONE if outcome == "refused" else _ANONYMOUS
