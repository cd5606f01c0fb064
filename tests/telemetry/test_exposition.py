"""The server of `/metrics`, the ports that workers share, and the lag of the event loop."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from gallery_gateway.cli import main
from gallery_gateway.telemetry.counters import MetricCounters
from gallery_gateway.telemetry.exposition import exposed, watch_lag
from gallery_gateway.telemetry.metrics import registry_of
from tests.logging_to import Written
from tests.process.serving import PATIENCE_SECONDS, started
from tests.scaling.fleet import free_ports
from tests.telemetry.recording import operation, value
from tests.telemetry.scraping import first_of_two_free_ports, scraped

HOST = "127.0.0.1"


def worker(operations: int) -> CollectorRegistry:
    """The metrics of a worker that has served this many operations."""
    counters = MetricCounters()
    for _ in range(operations):
        counters.operation_ended(operation("A"))
    return registry_of(counters.snapshot, version="1.2.3")


async def operations_at(port: int) -> float:
    return value(await scraped(port), "operation_duration_seconds_count", operation="A")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


async def test_metrics_are_served_until_the_end_and_then_the_port_is_free() -> None:
    (port,) = free_ports(1)

    async with exposed(worker(1), host=HOST, ports=[port]):
        operations = await operations_at(port)

    assert operations == 1
    socket.create_server((HOST, port)).close()


async def test_each_worker_takes_a_port_of_its_own() -> None:
    ports = free_ports(2)

    async with exposed(worker(1), host=HOST, ports=ports), exposed(worker(2), host=HOST, ports=ports):
        operations = [await operations_at(port) for port in ports]

    assert operations == [1, 2]


async def test_a_worker_takes_the_port_of_the_one_that_it_replaces() -> None:
    ports = free_ports(1)
    first = exposed(worker(1), host=HOST, ports=ports)
    await first.__aenter__()

    # uvicorn starts the successor first.
    async with exposed(worker(2), host=HOST, ports=ports, retry_seconds=0.01), asyncio.timeout(20):
        before = await operations_at(ports[0])
        await first.__aexit__(None, None, None)
        while not await is_served(ports[0]):  # noqa: ASYNC110  # the other side of a socket
            await asyncio.sleep(0.01)
        after = await operations_at(ports[0])

    assert (before, after) == (1, 2)


async def is_served(port: int, host: str = HOST) -> bool:
    try:
        await scraped(port, host)
    except OSError:
        return False
    return True


async def test_a_worker_without_a_free_port_logs_it_once_and_goes_on(
    as_json: Written, taken_port: int
) -> None:
    async with exposed(worker(1), host=HOST, ports=[taken_port], retry_seconds=0):
        for _ in range(5):
            await asyncio.sleep(0)

    (line,) = as_json.lines()
    assert (line["level"], line["event"], line["port"]) == ("warning", "metrics.unavailable", taken_port)
    assert line["reason"] == "Address already in use"


def test_a_taken_port_stops_the_command_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], taken_port: int
) -> None:
    # The second worker's.
    monkeypatch.setenv("GALLERY_GATEWAY_METRICS_PORT", str(taken_port - 1))

    status = main(["serve", "--port", "0", "--workers", "2"])

    logging.getLogger("gallery_gateway").handlers.clear()
    assert status == 1
    assert capsys.readouterr().err.startswith("The metrics cannot be served: ")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_of_the_metrics_that_is_the_gateways_own_stops_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    first = first_of_two_free_ports()
    port = first + workers - 1
    monkeypatch.setenv("GALLERY_GATEWAY_METRICS_PORT", str(first))

    status = main(["serve", "--port", str(port), "--workers", str(workers)])

    logging.getLogger("gallery_gateway").handlers.clear()
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2
    assert line == f"GALLERY_GATEWAY_METRICS_PORT: its range includes {port}, the gateway's port"


async def test_workers_and_address_of_the_command_line_hold_for_the_metrics_too() -> None:
    port = first_of_two_free_ports()
    arguments = ("serve", "--host", "127.0.0.2", "--port", "0", "--workers", "2")

    async with (
        started(*arguments, announced=r"running on http://([\d.]+):(\d+)", metrics_port=port),
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        for each in (port, port + 1):
            while not await is_served(each, host="127.0.0.2"):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


async def test_the_lag_of_the_event_loop_is_recorded_in_seconds() -> None:
    recorded: list[float] = []
    has_lagged = asyncio.Event()

    def record(seconds: float) -> None:
        recorded.append(seconds)
        if len(recorded) == 2:
            has_lagged.set()

    watching = asyncio.create_task(watch_lag(record, interval_seconds=0.01))
    await asyncio.sleep(0)
    time.sleep(0.06)  # noqa: ASYNC251  # blocks the event loop on purpose
    await has_lagged.wait()
    watching.cancel()

    assert 0.04 < recorded[0] < 10
    assert recorded[1] < recorded[0]
