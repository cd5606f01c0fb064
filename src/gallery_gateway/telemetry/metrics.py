"""Metrics as Prometheus reads them: each declared once, and made out of a snapshot when it is scraped."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from gallery_gateway.telemetry.counters import HistogramCounts, Snapshot

PREFIX = "gallery_gateway_"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's declaration; `name` is without the prefix, and counters have `_total` in it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


METRICS = (
    Metric(
        "operation_duration_seconds",
        "histogram",
        ("operation", "outcome", "executor"),
        "time of an operation",
    ),
    Metric(
        "operation_errors_total", "counter", ("operation", "code"), "operations with an error of this code"
    ),
    Metric("answers_total", "counter", ("source",), "answers to fields, by where they were got"),
    Metric("response_bytes_total", "counter", (), "bytes of answers to clients"),
    Metric("saved_bytes_total", "counter", (), "bytes of pages that answered without being fetched for it"),
    Metric("narrowed_images_total", "counter", (), "images that narrowing did not ask for"),
    Metric(
        "upstream_call_duration_seconds", "histogram", ("outcome", "status"), "time of a call of the endpoint"
    ),
    Metric("upstream_call_failures_total", "counter", ("reason",), "failed upstream calls, by their reason"),
    Metric("upstream_received_bytes_total", "counter", (), "bytes of JSON from the endpoint"),
    Metric("upstream_retries_total", "counter", (), "calls that repeated one that had failed"),
    Metric("upstream_breaker", "gauge", ("state",), "workers whose breaker for the API is in this state"),
    Metric(
        "upstream_breaker_opened_total",
        "counter",
        ("scope",),
        "openings of the breaker of the API or of a caller",
    ),
    Metric("upstream_calls_in_flight", "gauge", (), "calls that wait for the endpoint"),
    Metric("upstream_calls_waiting", "gauge", (), "calls that wait for their turn"),
    Metric("upstream_calls_limit", "gauge", (), "calls that the endpoint is given at a time"),
    Metric("event_loop_lag_seconds", "histogram", (), "how late the event loop woke up, four times a second"),
    Metric("cache_bytes", "gauge", (), "memory of the cached pages, in bytes"),
    Metric("cache_max_bytes", "gauge", (), "the most that it may be"),
    Metric("cache_entries", "gauge", (), "cached pages"),
    Metric("shared_cache_up", "gauge", (), "workers that share pages, of those that are meant to"),
    Metric("prepared_documents", "gauge", (), "documents that are kept parsed and validated"),
    Metric("log_lines_dropped_total", "counter", (), "log lines that nobody read in time"),
    Metric("process_cpu_seconds_total", "counter", (), "processor time of the workers"),
    Metric("process_resident_memory_bytes", "gauge", (), "memory of the workers"),
    Metric("process_open_fds", "gauge", (), "files and connections that the workers have open"),
    Metric("workers", "gauge", (), "processes that serve"),
    Metric("build_info", "gauge", ("version", "python"), "always 1; its labels tell what runs"),
)


class GatewayCollector(Collector):
    """Reads a snapshot with each scrape."""

    def __init__(self, read: Callable[[], Snapshot], *, version: str) -> None:
        self._read = read
        self._build = "build_info", (version, platform.python_version())

    def collect(self) -> Iterator[Family]:
        snapshot = self._read()
        # Of all processes together there is one build.
        snapshot.gauges[self._build] = 1.0
        for metric in METRICS:
            yield _histogram(metric, snapshot) if metric.kind == "histogram" else _family(metric, snapshot)


def registry_of(read: Callable[[], Snapshot], *, version: str) -> CollectorRegistry:
    """A registry with the gateway's own metrics and no others."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(GatewayCollector(read, version=version))
    return registry


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    is_counter = metric.kind == "counter"
    values = snapshot.counters if is_counter else snapshot.gauges
    kind = CounterMetricFamily if is_counter else GaugeMetricFamily
    family = kind(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for (name, labels), value in values.items():
        if name == metric.name:
            family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, snapshot: Snapshot) -> Family:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for (name, labels), buckets in snapshot.histograms.items():
        if name == metric.name:
            family.add_metric(labels, _cumulative(buckets), buckets.total)
    return family


def _cumulative(buckets: HistogramCounts) -> list[tuple[str, float, Exemplar] | tuple[str, float]]:
    """Each bucket with all below it, as Prometheus wants them."""
    bounds = [*map(floatToGoString, buckets.bounds), "+Inf"]
    told: list[tuple[str, float, Exemplar] | tuple[str, float]] = []
    for number, (bound, count) in enumerate(zip(bounds, accumulate(buckets.counts), strict=True)):
        traced = buckets.exemplars.get(number)
        if traced is None:
            told.append((bound, count))
        else:
            trace_id, value, moment = traced
            told.append((bound, count, Exemplar({"trace_id": trace_id}, value, moment)))
    return told
