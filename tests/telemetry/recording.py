"""Records as tests want them, and what is read out of an exposition."""

from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import Sample

from gallery_gateway.telemetry.records import CallRecord, OperationRecord


def operation(name: Any = "Dashboard", **fields: Any) -> OperationRecord:
    defaults: dict[str, Any] = {"request_id": "r1", "method": "POST", "outcome": "ok", "kind": "query"}
    return OperationRecord(operation=name, **(defaults | {"seconds": 0.002} | fields))


def call(**fields: Any) -> CallRecord:
    defaults: dict[str, Any] = {"outcome": "ok", "status": 200, "seconds": 0.2}
    return CallRecord(**(defaults | fields))


def samples(text: str) -> list[Sample]:
    """All samples of an OpenMetrics text, which is checked as it is parsed."""
    return [
        sample for family in openmetrics.text_string_to_metric_families(text) for sample in family.samples
    ]


def value(text: str, name: str, **labels: str) -> float:
    """The one sample of this name that has these labels, without the prefix of ours."""
    found = [
        sample.value
        for sample in samples(text)
        if sample.name == f"gallery_gateway_{name}" and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])
