"""The page for operators lists every metric, and no other."""

import re
from pathlib import Path

from gallery_gateway.telemetry.metrics import METRICS, PREFIX, Metric

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

ROW = re.compile(r"^\| `[a-z_]+` \| (?:counter|gauge|histogram) \|[^|]*\|[^|]*\|$", re.MULTILINE)


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def test_each_metric_is_listed_with_its_kind_labels_and_meaning_and_no_other() -> None:
    assert ROW.findall(PAGE) == [row(metric) for metric in METRICS]


def test_the_prefix_is_given() -> None:
    assert f"`{PREFIX}`" in PAGE
