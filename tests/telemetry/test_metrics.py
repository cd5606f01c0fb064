"""The exposition: what Prometheus reads, in both of its formats."""

from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from gallery_gateway.telemetry.counters import MetricCounters
from gallery_gateway.telemetry.metrics import METRICS, PREFIX, registry_of
from tests.telemetry.recording import call, operation, samples, value

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def exposition(counters: MetricCounters) -> str:
    return str(generate_openmetrics(registry_of(counters.snapshot, version="1.2.3")).decode())


def test_every_metric_is_declared_with_its_kind_and_meaning_before_anything_happens() -> None:
    text = generate_latest(registry_of(MetricCounters(max_operations=1).snapshot, version="1.2.3")).decode()

    for metric in METRICS:
        assert f"# HELP {PREFIX}{metric.name} {metric.meaning}\n" in text
        assert f"# TYPE {PREFIX}{metric.name} {metric.kind}\n" in text


def test_a_bucket_counts_all_below_it_too() -> None:
    counters = MetricCounters(max_operations=1)
    for seconds in (0.0002, 0.002, 40.0):
        counters.operation_ended(operation("A", seconds=seconds))

    text = exposition(counters)

    shown = {
        sample.labels["le"]: sample.value
        for sample in samples(text)
        if sample.name == "gallery_gateway_operation_duration_seconds_bucket"
    }
    assert (shown["0.0001"], shown["0.00025"], shown["0.0025"], shown["30.0"]) == (0, 1, 2, 2)
    assert shown["+Inf"] == 3
    assert value(text, "operation_duration_seconds_count", operation="A", outcome="ok") == 3


def test_a_traced_value_is_an_exemplar() -> None:
    counters = MetricCounters(max_operations=1)
    counters.call_ended(call(seconds=0.2, trace_id=TRACE_ID))

    exemplars = [sample.exemplar for sample in samples(exposition(counters)) if sample.exemplar]

    assert [(exemplar.labels, exemplar.value) for exemplar in exemplars] == [({"trace_id": TRACE_ID}, 0.2)]


def test_the_build_is_shown_once() -> None:
    assert value(exposition(MetricCounters(max_operations=1)), "build_info", version="1.2.3") == 1


def test_a_label_value_cannot_end_its_line() -> None:
    counters = MetricCounters(max_operations=1)
    counters.operation_ended(operation('A"} 1\nforged 1 #'))

    names = {sample.name for sample in samples(exposition(counters))}

    assert "forged" not in names


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="not Linux")
@pytest.mark.parametrize(
    "name", ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"]
)
def test_the_process_is_measured(name: str) -> None:
    assert value(exposition(MetricCounters()), name) > 0
