"""Two gateways behind a real nginx with a real Redis: the short form of `python -m tests.scaling`."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scaling.load import QUESTIONS, Tally
from tests.scaling.proxy import EXAMPLE, PROGRAM, configuration, validate
from tests.scaling.stage import Stage, stage
from tests.shared.servers import needs_redis

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")

CLIENTS = 6


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as started:
        yield started


@needs_nginx
@needs_redis
async def test_two_processes_with_one_redis_cost_the_calls_of_one(everything: Stage) -> None:
    cost = await everything.cost(2, is_shared=True, clients=CLIENTS, rounds=3)

    assert cost.stats == Tally(operations=CLIENTS * 3 * len(QUESTIONS))
    assert cost.calls == len(QUESTIONS)


@needs_nginx
@needs_redis
async def test_a_rolling_restart_under_load_loses_no_operation(everything: Stage) -> None:
    trial = await everything.rolling_restart(2, clients=CLIENTS, operations=60)

    assert (trial.stats.lost, trial.stats.wrong) == (0, 0)
    assert trial.stats.operations >= 180
    assert trial.statuses == (0, 0)


@needs_nginx
@needs_redis
async def test_a_process_that_is_killed_loses_no_operation(everything: Stage) -> None:
    trial = await everything.death(2, clients=CLIENTS, operations=60)

    assert (trial.stats.lost, trial.stats.wrong) == (0, 0)
    assert trial.statuses == (-signal.SIGKILL,)


@needs_nginx
async def test_the_example_for_nginx_is_one(tmp_path: Path) -> None:
    example = EXAMPLE.read_text(encoding="utf-8")

    assert not await validate(tmp_path, example)
    assert not await validate(tmp_path, configuration(8003, [8004, 8005, 8006]))
    assert configuration(8003, [8004, 8005]).count("max_fails=0;") == 2
