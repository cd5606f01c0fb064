"""The alerts, the dashboard and the exposition, before Debian's Prometheus."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import ProcessCollector

from gallery_gateway.telemetry.metrics import METRICS, PREFIX
from tests.fakes import TOKEN
from tests.process.serving import PATIENCE_SECONDS, TOTAL, serve, slow_upstream
from tests.telemetry.receiver import receiving
from tests.telemetry.scraping import first_of_two_free_ports, free_port

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "gallery-gateway.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))

# prometheus-client's own.
PROCESS_SERIES = {
    sample.name
    for family in ProcessCollector(namespace="gallery_gateway", registry=None).collect()
    for sample in family.samples
}

# What Prometheus adds to each series.
_OF_PROMETHEUS = {"job", "instance", "le"}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None and "CI" not in os.environ:
        pytest.skip(f"{name} is not installed (Debian's package prometheus)")
    assert found, name
    return found


def promtool(*arguments: str | Path) -> str:
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dashboard_queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def series_of(metric_name: str) -> set[str]:
    kinds = {metric.name: metric.kind for metric in METRICS}
    suffixes = ("_bucket", "_count", "_sum") if kinds[metric_name] == "histogram" else ("",)
    return {PREFIX + metric_name + suffix for suffix in suffixes}


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", CONFIG)


def test_each_alert_is_raised_when_it_should_be_and_only_then() -> None:
    promtool("test", "rules", Path(__file__).parent / "rules.yaml")


def test_each_alert_has_a_test_and_a_section_for_whoever_is_woken_by_it() -> None:
    tests = (Path(__file__).parent / "rules.yaml").read_text(encoding="utf-8")
    linked = re.findall(r"runbook: docs/operating\.md#(\w+)", RULES.read_text(encoding="utf-8"))

    assert set(re.findall(r"alertname: (\w+)", tests)) == set(ALERTS)
    assert re.findall(r"^### (GalleryGateway\w+)$", PAGE, re.MULTILINE) == ALERTS
    assert linked == [alert.lower() for alert in ALERTS]


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [
        {"record": f"dashboard:query_{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(dashboard_queries())
    ]
    file = tmp_path / "queries.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))

    assert f"{len(recorded)} rules found" in promtool("check", "rules", file)


@pytest.mark.parametrize("queries", [list(dashboard_queries()), [RULES.read_text(encoding="utf-8")]])
def test_queries_name_only_metrics_and_labels_that_there_are(queries: list[str]) -> None:
    text = "\n".join(queries)
    labels = {label for metric in METRICS for label in metric.labels} | _OF_PROMETHEUS
    grouped = [name.strip() for names in re.findall(r"by \(([^)]*)\)", text) for name in names.split(",")]
    matched = [
        name for inner in re.findall(r"\{([^{}]*)\}", text) for name in re.findall(r"(\w+)[!=]~?\"", inner)
    ]

    names = {name for m in METRICS for name in series_of(m.name)} | PROCESS_SERIES
    assert set(re.findall(rf"{PREFIX}\w+", text)) <= names
    assert set(grouped) | set(matched) <= labels | {"severity"}


def test_the_dashboard_shows_every_metric() -> None:
    text = json.dumps(DASHBOARD)

    assert [m.name for m in METRICS if not any(name in text for name in series_of(m.name))] == []


@asynccontextmanager
async def prometheus(targets: list[str], folder: Path) -> AsyncIterator[str]:
    """The real one, scraping `targets` by our own configuration; its URL."""
    config = CONFIG.read_text(encoding="utf-8").replace('"gateway:9464"', ", ".join(targets))
    config = config.replace("15s", "500ms")
    (folder / "prometheus.yaml").write_text(config)
    shutil.copy(RULES, folder)
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        await process.wait()


async def asked(url: str, path: str, **parameters: str) -> list[Any]:
    """What Prometheus answers; nothing as long as it does not."""

    def ask() -> Any:
        with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:  # noqa: S310  # our own address
            return json.load(answer)["data"]

    try:
        found = await asyncio.to_thread(ask)
    except OSError:
        return []
    return list(found["result"] if isinstance(found, dict) else found)


async def answered(url: str, path: str, **parameters: str) -> list[Any]:
    """Its first answer that is one: it looks at us in its own time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await asked(url, path, **parameters)):  # noqa: ASYNC110  # another program
            await asyncio.sleep(0.1)
    return found


async def test_a_real_prometheus_scrapes_two_workers_with_their_exemplars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("prometheus")
    port = first_of_two_free_ports()
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        async with (
            slow_upstream() as (upstream, upstream_url),
            serve(upstream_url, workers=2, metrics_port=port, traces="true") as server,
            prometheus([f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"], tmp_path) as url,
        ):
            upstream.release()
            await answered(url, "/api/v1/query", query=f"sum({PREFIX}workers) == 2")
            for number in range(8):
                connection = await server.connect()
                await connection.send(named_operation(number))
                assert (await connection.answer())[0] == 200

            counted = f'sum({PREFIX}operation_duration_seconds_count{{operation="Named",outcome="ok"}}) == 8'
            (series,) = await answered(url, "/api/v1/query", query=counted)
            lagged = f"{PREFIX}event_loop_lag_seconds_count > 0"
            assert await answered(url, "/api/v1/query", query=lagged)
            names = await answered(url, "/api/v1/label/__name__/values")
            exemplars = await answered(
                url,
                "/api/v1/query_exemplars",
                query=f"{PREFIX}operation_duration_seconds_bucket",
                start="0",
                end="4000000000",
            )
            # Their parent ends them, where it is asked to.
            server.process.terminate()
            await server.ended()

    assert float(series["value"][1]) == 8
    assert {name for metric in METRICS for name in series_of(metric.name)} - set(names) == {
        f"{PREFIX}operation_errors_total",
        f"{PREFIX}upstream_call_failures_total",
        f"{PREFIX}upstream_drifted_pages_total",
        f"{PREFIX}shared_cache_up",
        f"{PREFIX}subscriptions_ended_total",
    }
    traced = {exemplar["labels"]["trace_id"] for found in exemplars for exemplar in found["exemplars"]}
    assert traced <= {span.trace_id.hex() for span in receiver.spans()}
    assert traced


def named_operation(number: int) -> bytes:
    """As of a caller of its own, so that each of them is a call."""
    body = json.dumps({"query": f"query Named {TOTAL}"})
    head = [
        "POST /graphql HTTP/1.1",
        "host: gateway",
        "content-type: application/json",
        f"authorization: Bearer {TOKEN}-{number}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*head, "", body]).encode()
