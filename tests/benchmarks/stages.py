"""The stages: how many microseconds of CPU each part of a request takes.

The gateway runs as ever, beside a timer that looks at the stack after each moment of CPU. A sample belongs to
the stage of the innermost function of the gateway, so libraries and system calls count for their callers.
A profiler would make small functions look expensive.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gallery_gateway import cli
from tests.benchmarks.load import Load
from tests.benchmarks.queries import Varying
from tests.benchmarks.servers import ROOT, Stage

SOURCE = Path(cli.__file__).parent
_INTERVAL_SECONDS = 0.001

# Files, and functions where a file has parts of several stages; the longest name that fits decides.
STAGES = {
    "event loop": ("cli.py",),
    "bytes to request": ("edge/uvicorn_protocol.py", "edge/app.py"),
    "headers, policy and body": ("edge/policy.py", "edge/request.py"),
    "replay": ("edge/replay.py",),
    "caller and budget": ("gallery/caller.py", "gallery/usage.py", "schema/context.py"),
    "document": ("execution/documents.py", "execution/limits.py", "execution/persisted.py"),
    "plan": ("execution/executor.py", "execution/compiler.py", "execution/plan.py", "execution/selection.py"),
    "arguments": (
        "execution/coercion.py",
        "execution/executor.py _check_variables",
        "schema/roots.py",
        "schema/requests.py",
        "schema/needs.py",
    ),
    "lookup": ("gallery/loader.py", "gallery/lookup.py", "gallery/cache.py", "gallery/slicing.py"),
    "flight": ("gallery/gallery.py", "gallery/flights.py"),
    "permission to call": (
        "upstream/resilience.py",
        "upstream/breaker.py",
        "upstream/limiter.py",
        "upstream/retries.py",
        "gallery/shared_fetcher.py",
    ),
    "request bytes and socket": ("gallery/request.py", "upstream/client.py", "upstream/transport.py"),
    "response bytes": (
        "upstream/transport.py Connection.",
        "upstream/transport.py RawResponse.",
        "upstream/client.py read_body",
        "upstream/refusals.py",
    ),
    "decode": ("upstream/decoding.py", "upstream/contract.py"),
    "global ids": ("upstream/identity.py",),
    "keep the page": (
        "gallery/fetcher.py",
        "gallery/entry.py",
        "gallery/cache.py PageCache.put",
        "upstream/caching.py",
        "upstream/links.py",
    ),
    "project and encode": (
        "execution/compiler.py Compiler._render",
        "execution/compiler.py RootWriter.",
        "gallery/entry.py FetchResult.write",
        "schema/roots.py _needs_alone",
        "structs.py",
    ),
    "respond": ("edge/responses.py", "edge/endpoint.py", "edge/uvicorn_protocol.py _send_at_once"),
    "log and metrics": ("edge/recorder.py", "telemetry/"),
}
REST = "the rest"


@dataclass(frozen=True, slots=True)
class Column:
    """A kind of request whose stages are measured."""

    name: str
    query: str
    varying: Varying


COLUMNS = (
    Column("uncached Q1", "Q1", "page"),
    Column("uncached Q2", "Q2", "page"),
    Column("hot Q1", "Q1", "headers"),
)


async def table(stage: Stage, folder: Path, *, seconds: float) -> str:
    """Return the stages of all columns."""
    columns = [await _measure(stage, folder / "samples.json", column, seconds) for column in COLUMNS]
    lines = [
        f"| µs of CPU | {' | '.join(column.name for column in COLUMNS)} |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for name in (*STAGES, REST):
        cells = [f"{measured[name]:.0f}" for measured in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sums = [f"**{sum(measured.values()):.0f}**" for measured in columns]
    return "\n".join([*lines, f"| **all** | {' | '.join(sums)} |", ""])


async def _measure(stage: Stage, written: Path, column: Column, seconds: float) -> Mapping[str, float]:
    """Return microseconds by stage."""
    sampled = ["tests.benchmarks.stages", str(written)]
    async with stage.upstream() as upstream, stage.gateway(ROOT, upstream.url, {}, sampled) as server:

        def load(first: int, seconds: float) -> Load:
            return Load(
                port=server.port,
                query=column.query,
                varying=column.varying,
                token="stages",
                body_bytes={},
                connections=16,
                first=first,
                warm_up_seconds=0,
                seconds=seconds,
                server_id=server.process_id,
            )

        await stage.load([load(0, seconds / 4)])
        _samples(server.process_id, written)
        [outcome] = await stage.load([load(500_000, seconds)])
        samples = _samples(server.process_id, written)
    stages: Counter[str] = Counter()
    for function, count in samples.items():
        stages[stage_of(function)] += count
    return {name: outcome.cpu_seconds * 1e6 * stages[name] / stages.total() for name in (*STAGES, REST)}


def _samples(process_id: int, written: Path) -> dict[str, int]:
    os.kill(process_id, signal.SIGUSR1)
    while not written.exists():
        time.sleep(0.01)
    samples: dict[str, int] = json.loads(written.read_text(encoding="utf-8"))
    written.unlink()
    return samples


def stage_of(function: str) -> str:
    """Return the stage of a function, given as its file and its qualified name."""
    fitting = [
        (len(part), name) for name, parts in STAGES.items() for part in parts if function.startswith(part)
    ]
    return max(fitting, default=(0, REST))[1]


def serve(written: Path, arguments: list[str]) -> int:
    """Run the gateway; at SIGUSR1 it writes its samples since the last one."""
    samples: Counter[str] = Counter()
    source = f"{SOURCE}/"

    def sample(_signal: int, frame: FrameType | None) -> None:
        while frame is not None and not frame.f_code.co_filename.startswith(source):
            frame = frame.f_back
        if frame is not None:
            samples[f"{frame.f_code.co_filename.removeprefix(source)} {frame.f_code.co_qualname}"] += 1

    def write(_signal: int, _frame: FrameType | None) -> None:
        unfinished = written.with_suffix(".part")
        unfinished.write_text(json.dumps(samples), encoding="utf-8")
        unfinished.rename(written)
        samples.clear()

    signal.signal(signal.SIGPROF, sample)
    signal.signal(signal.SIGUSR1, write)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_SECONDS, _INTERVAL_SECONDS)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), sys.argv[2:]))
