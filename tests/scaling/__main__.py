"""Several gateways behind real load balancers, with a real Redis: `python -m tests.scaling`.

Prints the upstream calls of several processes that share nothing, behind a load balancer that hashes, and
with Redis; and the fate of operations while processes restart, one is killed, and Redis is gone.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.scaling.load import QUESTIONS
from tests.scaling.stage import Cost, Sharing, Stage, Trial, stage

COSTS: tuple[tuple[int, Sharing], ...] = (
    *((1, "nothing"), (2, "nothing"), (4, "nothing")),
    *((2, "nginx"), (3, "nginx"), (4, "nginx"), (2, "HAProxy"), (4, "HAProxy")),
    *((2, "Redis"), (3, "Redis"), (4, "Redis")),
)
CLIENTS = 16
ROUNDS = 10
OPERATIONS = 500


async def measure() -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder)) as everything:
            costs = [await _cost(everything, processes, sharing) for processes, sharing in COSTS]
            print("rolling restart", file=sys.stderr)
            restart = await everything.rolling_restart(
                4, sharing="Redis", clients=CLIENTS, operations=OPERATIONS
            )
            print("one killed", file=sys.stderr)
            hashed = await everything.death(2, sharing="nginx", clients=CLIENTS, operations=OPERATIONS)
            death = await everything.death(2, sharing="Redis", clients=CLIENTS, operations=OPERATIONS)
            print("Redis killed", file=sys.stderr)
            outage = await everything.redis_outage(2, clients=CLIENTS, operations=OPERATIONS)
    trials = {
        "4 processes with Redis restarted, one after another": restart,
        "one of 2 processes behind hashing killed and started again": hashed,
        "one of 2 processes with Redis killed and started again": death,
        "Redis killed and started again": outage,
    }
    return "\n".join([*_costs(costs), "", *_trials(trials)])


async def _cost(everything: Stage, processes: int, sharing: Sharing) -> Cost:
    print(f"{processes} processes, shared by {sharing}", file=sys.stderr)
    return await everything.cost(processes, sharing=sharing, clients=CLIENTS, rounds=ROUNDS)


def _costs(costs: list[Cost]) -> list[str]:
    lines = [
        f"{CLIENTS} clients; {len(QUESTIONS)} questions, each asked {ROUNDS} times by each client.",
        "",
        "| processes | pages are shared by | operations | upstream calls | wrong responses |",
        "|---:|---|---:|---:|---:|",
    ]
    for cost in costs:
        stats = cost.stats
        lines.append(
            f"| {cost.processes} | {cost.sharing} | {stats.operations:,}"
            f" | {cost.calls} | {stats.lost + stats.wrong} |"
        )
    return lines


def _trials(trials: dict[str, Trial]) -> list[str]:
    lines = [
        "| under load | operations | repeated by nginx | lost | wrong responses |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, trial in trials.items():
        stats = trial.stats
        passed_on = f"{trial.passed_on:,}"
        lines.append(f"| {name} | {stats.operations:,} | {passed_on} | {stats.lost} | {stats.wrong} |")
    return lines


if __name__ == "__main__":
    print(asyncio.run(measure()))
