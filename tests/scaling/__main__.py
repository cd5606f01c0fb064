"""Several gateways behind nginx with one Redis, all of them real: `python -m tests.scaling`.

What N clients cost the endpoint at 1, 2 and 4 processes, with and without the shared cache; and what becomes
of operations while each process is restarted, and while Redis is gone.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.scaling.load import QUESTIONS
from tests.scaling.stage import Cost, Stage, Trial, stage

PROCESSES = (1, 2, 4)
CLIENTS = 16
ROUNDS = 10
OPERATIONS = 500


async def measure() -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder)) as everything:
            costs = [
                await _cost(everything, processes, is_shared=is_shared)
                for is_shared in (False, True)
                for processes in PROCESSES
            ]
            print("rolling restart", file=sys.stderr)
            restart = await everything.rolling_restart(4, clients=CLIENTS, operations=OPERATIONS)
            print("one killed", file=sys.stderr)
            death = await everything.death(2, clients=CLIENTS, operations=OPERATIONS)
            print("Redis killed", file=sys.stderr)
            outage = await everything.redis_outage(2, clients=CLIENTS, operations=OPERATIONS)
    trials = {
        "4 processes restarted, one after another": restart,
        "one of 2 processes killed, and started again": death,
        "Redis killed, and started again": outage,
    }
    return "\n".join([*_costs(costs), "", *_trials(trials)])


async def _cost(everything: Stage, processes: int, *, is_shared: bool) -> Cost:
    print(f"{processes} processes, {'one Redis' if is_shared else 'each alone'}", file=sys.stderr)
    return await everything.cost(processes, is_shared=is_shared, clients=CLIENTS, rounds=ROUNDS)


def _costs(costs: list[Cost]) -> list[str]:
    lines = [
        f"{CLIENTS} clients; {len(QUESTIONS)} questions, each asked {ROUNDS} times by each client.",
        "",
        "| processes | Redis | operations | upstream calls | lost | answered otherwise than by one |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for cost in costs:
        stats = cost.stats
        lines.append(
            f"| {cost.processes} | {'yes' if cost.is_shared else 'no'} | {stats.operations:,}"
            f" | {cost.calls} | {stats.lost} | {stats.wrong} |"
        )
    return lines


def _trials(trials: dict[str, Trial]) -> list[str]:
    lines = [
        "| under load | operations | of them passed on by nginx | lost | answered otherwise |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, trial in trials.items():
        stats = trial.stats
        passed_on = f"{trial.passed_on:,}"
        lines.append(f"| {name} | {stats.operations:,} | {passed_on} | {stats.lost} | {stats.wrong} |")
    return lines


if __name__ == "__main__":
    print(asyncio.run(measure()))
