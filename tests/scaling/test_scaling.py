"""Gateways behind a real load balancer with a real Redis: the short form of `python -m tests.scaling`."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scaling.load import QUESTIONS, Tally
from tests.scaling.proxy import EXAMPLE, HAPROXY, HASH, PAGE, PROGRAM, configuration, validate
from tests.scaling.stage import Sharing, Stage, stage
from tests.shared.servers import needs_redis

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

CLIENTS = 6


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as started:
        yield started


@pytest.mark.parametrize(
    ("processes", "sharing"),
    [
        pytest.param(2, "nginx", marks=needs_nginx),
        pytest.param(3, "nginx", marks=needs_nginx),
        pytest.param(2, "HAProxy", marks=needs_haproxy),
        pytest.param(2, "Redis", marks=needs_nginx),
    ],
)
@needs_redis
async def test_several_processes_make_the_upstream_calls_of_one(
    everything: Stage, processes: int, sharing: Sharing
) -> None:
    cost = await everything.cost(processes, sharing=sharing, clients=CLIENTS, rounds=3)

    assert cost.stats == Tally(operations=CLIENTS * 3 * len(QUESTIONS))
    assert cost.calls == len(QUESTIONS)


@needs_nginx
@needs_redis
async def test_a_rolling_restart_under_load_loses_no_operation(everything: Stage) -> None:
    trial = await everything.rolling_restart(2, sharing="Redis", clients=CLIENTS, operations=60)

    assert (trial.stats.lost, trial.stats.wrong) == (0, 0)
    assert trial.stats.operations >= 180
    assert trial.statuses == (0, 0)


@pytest.mark.parametrize(
    "sharing",
    [
        pytest.param("nginx", marks=needs_nginx),
        pytest.param("Redis", marks=needs_nginx),
    ],
)
@needs_redis
async def test_a_process_that_is_killed_loses_no_operation(everything: Stage, sharing: Sharing) -> None:
    trial = await everything.death(2, sharing=sharing, clients=CLIENTS, operations=60)

    assert (trial.stats.lost, trial.stats.wrong) == (0, 0)
    assert trial.statuses == (-signal.SIGKILL,)


@needs_nginx
async def test_the_example_for_nginx_is_one(tmp_path: Path) -> None:
    example = EXAMPLE.read_text(encoding="utf-8")

    assert not await validate(tmp_path, example)
    assert not await validate(tmp_path, configuration(8003, [8004, 8005, 8006]))
    assert configuration(8003, [8004, 8005]).count("max_fails=0;") == 2
    assert HASH in PAGE.read_text(encoding="utf-8")
