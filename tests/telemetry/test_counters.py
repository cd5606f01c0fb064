"""What is counted, and how few names it is counted under."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.telemetry.counters import MetricCounters
from gallery_gateway.telemetry.metrics import METRICS
from tests.telemetry.recording import call, operation


def operations(counters: MetricCounters) -> dict[tuple[str, ...], int]:
    """How many operations there were by name and outcome."""
    histograms = counters.snapshot().histograms
    return {
        labels[:2]: sum(buckets.counts)
        for (name, labels), buckets in histograms.items()
        if name == "operation_duration_seconds"
    }


def counter(counters: MetricCounters, name: str, *labels: str) -> float:
    return counters.snapshot().values[name, labels]


def test_operations_are_counted_by_name_and_outcome() -> None:
    counters = MetricCounters(max_operations=10)

    for record in [operation("A"), operation("A"), operation("A", outcome="error"), operation("B")]:
        counters.operation_ended(record)

    assert operations(counters) == {("A", "ok"): 2, ("A", "error"): 1, ("B", "ok"): 1}


def test_operations_are_counted_by_what_executed_them() -> None:
    counters = MetricCounters(max_operations=10)

    for executor in ("compiled", "plain", None):
        counters.operation_ended(operation("A", executor=executor))

    labels = {
        labels for name, labels in counters.snapshot().histograms if name == "operation_duration_seconds"
    }
    assert labels == {("A", "ok", "compiled"), ("A", "ok", "plain"), ("A", "ok", "none")}


def test_an_operation_without_a_name_has_the_same_label_in_durations_and_errors() -> None:
    counters = MetricCounters(max_operations=10)

    counters.operation_ended(operation(None))
    counters.operation_ended(operation(None, outcome="refused", codes=("BAD_REQUEST",)))

    assert operations(counters) == {("(unnamed)", "ok"): 1, ("(unnamed)", "refused"): 1}
    assert counter(counters, "operation_errors_total", "(unnamed)", "BAD_REQUEST") == 1


# As clients may choose them, the words that labels stand for among them.
NAMES = st.sampled_from(["none", "anonymous", "other", "unnamed", "None", "_", "A"]) | st.from_regex(
    "[A-Za-z_][A-Za-z0-9_]{0,3}", fullmatch=True
)


@given(
    names=st.lists(st.none() | NAMES, max_size=20),
    outcome=st.sampled_from(["ok", "error"]),
    max_operations=st.integers(0, 4),
)
def test_no_name_is_counted_under_the_label_of_another(
    names: list[str | None], outcome: str, max_operations: int
) -> None:
    counters = MetricCounters(max_operations=max_operations)

    for name in names:
        counters.operation_ended(operation(name, outcome=outcome, codes=("FORBIDDEN",)))

    own = list(dict.fromkeys(name for name in names if name is not None))[:max_operations]
    labels = {name: name for name in own} | {None: "(unnamed)"}
    expected = Counter(labels.get(name, "(other)") for name in names)
    assert operations(counters) == {(name, outcome): count for name, count in expected.items()}
    values = counters.snapshot().values
    errors = {labels: count for (name, labels), count in values.items() if name == "operation_errors_total"}
    assert errors == {(name, "FORBIDDEN"): count for name, count in expected.items()}


@given(statuses=st.lists(st.none() | st.integers(100, 999), max_size=20))
def test_no_status_is_counted_under_the_label_of_another(statuses: list[int | None]) -> None:
    counters = MetricCounters()

    for status in statuses:
        counters.call_ended(call(status=status))

    histograms = counters.snapshot().histograms
    counted = {
        labels[1]: sum(durations.counts)
        for (name, labels), durations in histograms.items()
        if name == "upstream_call_duration_seconds"
    }
    assert counted == Counter("none" if status is None else str(status) for status in statuses)


def test_names_beyond_the_bound_are_counted_as_one() -> None:
    counters = MetricCounters(max_operations=2)

    for name in ["A", "B", "C", "D", "A", None]:
        counters.operation_ended(operation(name, codes=("FORBIDDEN",)))

    assert operations(counters) == {
        ("A", "ok"): 2,
        ("B", "ok"): 1,
        ("(other)", "ok"): 2,
        ("(unnamed)", "ok"): 1,
    }
    assert counter(counters, "operation_errors_total", "(other)", "FORBIDDEN") == 2


def test_a_bound_of_0_shows_no_names() -> None:
    counters = MetricCounters(max_operations=0)

    counters.operation_ended(operation("A"))

    assert operations(counters) == {("(other)", "ok"): 1}


def test_a_name_that_is_too_long_for_a_label_is_not_shown() -> None:
    counters = MetricCounters(max_operations=10)

    counters.operation_ended(operation("A" * 65))
    counters.operation_ended(operation("A" * 64))

    assert set(operations(counters)) == {("(other)", "ok"), ("A" * 64, "ok")}


def test_a_value_on_a_bound_falls_into_its_bucket() -> None:
    counters = MetricCounters(max_operations=10)

    for seconds in (0.1, 0.1000001, 31.0):
        counters.operation_ended(operation("A", seconds=seconds))

    buckets = counters.snapshot().histograms["operation_duration_seconds", ("A", "ok", "none")]
    counts = dict(zip([*buckets.bounds, "more"], buckets.counts, strict=True))
    assert (counts[0.1], counts[0.25], counts["more"]) == (1, 1, 1)
    assert buckets.total == pytest.approx(31.2)


def test_an_operation_counts_once_under_each_of_its_codes() -> None:
    counters = MetricCounters(max_operations=10)

    counters.operation_ended(operation("A", codes=("FORBIDDEN", "RATE_LIMITED"), outcome="error"))

    assert counter(counters, "operation_errors_total", "A", "FORBIDDEN") == 1
    assert counter(counters, "operation_errors_total", "A", "RATE_LIMITED") == 1


@pytest.mark.parametrize(
    ("field", "source"),
    [
        ("hits", "hit"),
        ("stale", "stale"),
        ("calls", "miss"),
        ("collapsed", "collapsed"),
        ("merged", "merged"),
    ],
)
def test_answers_are_counted_by_where_they_were_got(field: str, source: str) -> None:
    counters = MetricCounters(max_operations=10)

    counters.operation_ended(operation(**{field: 3}))

    counted = counters.snapshot().values
    counted_by = {labels[0]: count for (name, labels), count in counted.items() if name == "answers_total"}
    assert counted_by == {
        "hit": 0,
        "shared": 0,
        "stale": 0,
        "miss": 0,
        "collapsed": 0,
        "merged": 0,
        source: 3,
    }


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"bytes": 7}, "response_bytes_total"),
        ({"saved_bytes": 7}, "saved_bytes_total"),
        ({"narrowed_images": 7}, "narrowed_images_total"),
    ],
)
def test_an_operation_adds_its_figures(fields: dict[str, Any], name: str) -> None:
    counters = MetricCounters(max_operations=10)

    counters.operation_ended(operation(**fields))
    counters.operation_ended(operation(**fields))

    assert counter(counters, name) == 14


def test_calls_are_counted_by_outcome_and_status() -> None:
    counters = MetricCounters(max_operations=10)

    counters.call_ended(call(bytes=100))
    counters.call_ended(call(outcome="UPSTREAM_TIMEOUT", status=None, attempt=2))

    histograms = counters.snapshot().histograms
    assert sum(histograms["upstream_call_duration_seconds", ("ok", "200")].counts) == 1
    assert sum(histograms["upstream_call_duration_seconds", ("UPSTREAM_TIMEOUT", "none")].counts) == 1
    assert counter(counters, "upstream_received_bytes_total") == 100
    assert counter(counters, "upstream_retries_total") == 1


def test_a_traced_value_is_the_exemplar_of_its_bucket() -> None:
    counters = MetricCounters(max_operations=10)

    counters.operation_ended(operation("A", seconds=0.002, trace_id="ab" * 16))
    counters.operation_ended(operation("A", seconds=0.002))

    buckets = counters.snapshot().histograms["operation_duration_seconds", ("A", "ok", "none")]
    ((trace_id, seconds, _),) = buckets.exemplars.values()
    assert (trace_id, seconds) == ("ab" * 16, 0.002)


def test_what_others_stand_at_is_read_with_each_snapshot() -> None:
    pages = [1.0]
    counters = MetricCounters(max_operations=10)
    counters.add_gauges(lambda: {("cache_entries", ()): pages[0]})
    pages[0] = 2.0

    values = counters.snapshot().values
    assert (values["workers", ()], values["cache_entries", ()]) == (1.0, 2.0)


def test_everything_that_is_counted_is_declared_with_its_labels() -> None:
    counters = MetricCounters(max_operations=10)
    counters.operation_ended(operation(codes=("FORBIDDEN",)))
    counters.call_ended(call())
    declared = {(metric.kind == "histogram", metric.name): len(metric.labels) for metric in METRICS}

    snapshot = counters.snapshot()

    series = [(False, *series) for series in snapshot.values]
    series += [(True, *series) for series in snapshot.histograms]
    assert {(kind, name): len(labels) for kind, name, labels in series}.items() <= declared.items()
