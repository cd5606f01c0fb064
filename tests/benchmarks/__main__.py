"""The speed of the gateway, compared with plain Strawberry: `python -m tests.benchmarks`.

A fast upstream, the gateway, the same graph run plainly, a constant-bytes app as the floor and the load
generator are processes of their own on 127.0.0.1. Linux: CPU seconds and memory are the kernel's.
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.blocking import longest_blocking_seconds
from tests.benchmarks.first_runs import measure_first_runs
from tests.benchmarks.loop import run
from tests.benchmarks.pinning import rss_bytes
from tests.benchmarks.plot import plot
from tests.benchmarks.processes import BenchmarkError, Stage
from tests.benchmarks.queries import compared
from tests.benchmarks.report import Results, report
from tests.benchmarks.rounds import Contest, Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The measurements beside the rounds.

    Args:
        more_starts: of the gateway, besides the one that is measured anyway.
        documents: texts that the gateway has not seen before.
        projects, images: of the answer that blocks the loop.
    """

    more_starts: int
    documents: int
    projects: int
    images: int


_WHOLE = Extent(more_starts=2, documents=15, projects=100, images=200)
_SHORT = Extent(more_starts=0, documents=1, projects=10, images=20)


async def measure(options: Options, extent: Extent) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        blocking_seconds = await longest_blocking_seconds(projects=extent.projects, images=extent.images)
        start_seconds = [await _start_seconds(stage) for _ in range(extent.more_starts)]
        contest = Contest(stage, options)
        async with AsyncExitStack() as stack:
            await contest.begin(stack)
            start_seconds.append(contest.gateway.start_seconds)
            first_runs = {
                query.name: await measure_first_runs(
                    contest.gateway.port,
                    query,
                    documents=extent.documents,
                    with_variables=options.with_variables,
                )
                for query in compared()
            }
            figures = await contest.play()
            servers = {
                "gateway": contest.gateway,
                "plain": contest.plain["uncached"],
                "plain with a cache": contest.plain["hot"],
            }
            return Results(
                options=options,
                pinned=stage.cores.description,
                figures=figures,
                rss_bytes={name: rss_bytes(server.process_id) for name, server in servers.items()},
                start_seconds=statistics.median(start_seconds),
                blocking_seconds=blocking_seconds,
                blocking_size=f"{extent.projects} projects of {extent.images} images",
                first_runs=first_runs,
            )


async def _start_seconds(stage: Stage) -> float:
    async with stage.upstream() as upstream, stage.gateway(upstream) as gateway:
        return gateway.start_seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (3)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are taken (3)")
    parser.add_argument("--connections", type=int, default=16, help="of the load generator (16)")
    parser.add_argument("--variables", action="store_true", help="send the arguments as variables")
    parser.add_argument("--short", action="store_true", help="one quick round, for a test: no real figures")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write table.md and plot.svg there")
    return parser


def main() -> int:
    chosen = _parser().parse_args()
    options = Options(
        seconds=0.15 if chosen.short else chosen.seconds,
        rounds=1 if chosen.short else chosen.rounds,
        connections=1 if chosen.short else chosen.connections,
        with_variables=chosen.variables,
    )
    try:
        results = run(measure(options, _SHORT if chosen.short else _WHOLE))
    except BenchmarkError as exc:
        print(exc, file=sys.stderr)
        return 1
    table = report(results)
    print(table, end="")
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "table.md").write_text(table, encoding="utf-8")
        (chosen.out / "plot.svg").write_text(plot(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
