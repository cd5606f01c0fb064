"""The metrics as Prometheus reads them: each is declared once, and filled from a snapshot at a scrape."""

import platform
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from gallery_gateway.telemetry.counters import Histogram, Snapshot

PREFIX = "gallery_gateway_"


class Metric(NamedTuple):
    """The declaration of a metric; `name` has no prefix."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


METRICS = (
    Metric(
        "operation_duration_seconds",
        "histogram",
        ("operation", "outcome", "executor"),
        "duration of an operation",
    ),
    Metric(
        "operation_errors_total", "counter", ("operation", "code"), "operations with an error of this code"
    ),
    Metric("subscriptions", "gauge", (), "open subscriptions"),
    Metric("subscription_events_total", "counter", (), "events sent to subscribers"),
    Metric("subscriptions_ended_total", "counter", ("reason",), "subscriptions that have ended, by reason"),
    Metric("answers_total", "counter", ("source",), "fields resolved from a page, by its source"),
    Metric("response_bytes_total", "counter", (), "bytes of response bodies sent to clients"),
    Metric("saved_bytes_total", "counter", (), "bytes of pages that were reused instead of fetched"),
    Metric("narrowed_images_total", "counter", (), "images that narrowing kept out of upstream calls"),
    Metric(
        "upstream_call_duration_seconds", "histogram", ("outcome", "status"), "duration of an upstream call"
    ),
    Metric("upstream_call_failures_total", "counter", ("reason",), "failed upstream calls, by reason"),
    Metric("upstream_received_bytes_total", "counter", (), "bytes of JSON received from the REST API"),
    Metric("upstream_retries_total", "counter", (), "upstream calls that repeated a failed one"),
    Metric("upstream_compared_pages_total", "counter", (), "pages that were compared with the contract"),
    Metric(
        "upstream_drifted_pages_total",
        "counter",
        ("field", "kind"),
        "compared pages in which this field is unknown, missing or mistyped",
    ),
    Metric(
        "upstream_breaker", "gauge", ("state",), "1 for the state of the worker's breaker for the REST API"
    ),
    Metric("upstream_breaker_opened_total", "counter", ("scope",), "openings of a breaker, by its scope"),
    Metric("upstream_calls_in_flight", "gauge", (), "upstream calls in progress"),
    Metric("upstream_calls_waiting", "gauge", (), "upstream calls that wait for the concurrency limit"),
    Metric("upstream_calls_limit", "gauge", (), "current limit of concurrent upstream calls"),
    Metric("event_loop_lag_seconds", "histogram", (), "delay of the event loop, sampled four times a second"),
    Metric("cache_bytes", "gauge", (), "memory of the cached pages, in bytes"),
    Metric("cache_max_bytes", "gauge", (), "limit of that memory"),
    Metric("cache_entries", "gauge", (), "cached pages"),
    Metric("shared_cache_up", "gauge", (), "1 if the worker reaches the shared cache; absent without one"),
    Metric("prepared_documents", "gauge", (), "documents in memory, parsed and validated"),
    Metric("log_lines_dropped_total", "counter", (), "log lines dropped because the reader was too slow"),
    Metric("workers", "gauge", (), "1 for each worker"),
    Metric("build_info", "gauge", ("version", "python"), "always 1; the labels hold the versions"),
)


class GatewayCollector(Collector):
    """Takes a snapshot at each scrape."""

    def __init__(self, read: Callable[[], Snapshot], *, version: str) -> None:
        self._read = read
        self._build = "build_info", (version, platform.python_version())

    def collect(self) -> Iterator[Family]:
        snapshot = self._read()
        snapshot.values[self._build] = 1
        for metric in METRICS:
            yield _histogram(metric, snapshot) if metric.kind == "histogram" else _family(metric, snapshot)


def registry_of(read: Callable[[], Snapshot], *, version: str) -> CollectorRegistry:
    """Return a registry with the metrics of the gateway and of its process, and no others."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(GatewayCollector(read, version=version))
    ProcessCollector(namespace=PREFIX.rstrip("_"), registry=registry)
    return registry


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    family_type = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = family_type(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for (name, labels), value in snapshot.values.items():
        if name == metric.name:
            family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, snapshot: Snapshot) -> Family:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for (name, labels), histogram in snapshot.histograms.items():
        if name == metric.name:
            family.add_metric(labels, _cumulative(histogram), histogram.total)
    return family


def _cumulative(histogram: Histogram) -> list[tuple[str, float, Exemplar] | tuple[str, float]]:
    """Return the buckets as Prometheus wants them: each counts all values up to its bound."""
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    buckets: list[tuple[str, float, Exemplar] | tuple[str, float]] = []
    for number, (bound, count) in enumerate(zip(bounds, accumulate(histogram.counts), strict=True)):
        exemplar = histogram.exemplars.get(number)
        if exemplar is None:
            buckets.append((bound, count))
        else:
            trace_id, value, seconds = exemplar
            buckets.append((bound, count, Exemplar({"trace_id": trace_id}, value, seconds)))
    return buckets
