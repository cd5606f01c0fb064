"""The speed of the gateway: `python -m tests.benchmarks [compare | growth | stages | large | streams]`.

`compare` loads the gateway and its peers with what clients send through a reverse proxy. With `--against`,
the peer is the gateway of another checkout. Linux: CPU seconds and cores are the kernel's.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path

import uvloop

from tests.benchmarks import growth, large, streams
from tests.benchmarks.compare import BRAMBLE, MERCURIUS, MODES, PLAIN, YOGA, Options, compare
from tests.benchmarks.growth import AXES, grow
from tests.benchmarks.plot import plot
from tests.benchmarks.queries import QUERIES
from tests.benchmarks.report import medians, report
from tests.benchmarks.servers import BenchmarkError, Stage, install_node_peers
from tests.benchmarks.stages import table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=_WHAT, default="compare")
    parser.add_argument("--tiny", action="store_true", help="a moment of each, for a test: no real figures")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the report and the plots there")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (3)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the medians are taken (5)")
    group = parser.add_argument_group("compare")
    group.add_argument("--against", type=Path, metavar="PATH", help="compare with PATH/src, and nothing else")
    group.add_argument("--node", action="store_true", help="with Mercurius and Yoga, installed from npm")
    group.add_argument("--modes", type=_listed(MODES), default=list(MODES), help=",".join(MODES))
    group.add_argument("--queries", type=_listed(QUERIES), default=list(QUERIES), help=",".join(QUERIES))
    group.add_argument("--connections", type=int, default=16, help="of the load generator (16)")
    group = parser.add_argument_group("growth")
    group.add_argument("--axes", type=_listed(AXES), default=list(AXES), help=",".join(AXES))
    group.add_argument("--most", type=int, default=100_000, help="largest size (100000)")
    return parser


def _listed(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if not set(chosen) <= set(known):
            raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}")
        return chosen

    return names


def _peers(chosen: argparse.Namespace) -> list[str]:
    peers = [] if chosen.against else [PLAIN, *([BRAMBLE] if find_spec("bramble") else [])]
    if chosen.node:
        install_node_peers()
        peers += [MERCURIUS, YOGA]
    return peers


def _compare(chosen: argparse.Namespace) -> dict[str, str]:
    """Return the files of the report by their suffixes."""
    options = Options(
        seconds=0.1 if chosen.tiny else chosen.seconds,
        rounds=1 if chosen.tiny else chosen.rounds,
        connections=1 if chosen.tiny else chosen.connections,
        modes=chosen.modes,
        queries=chosen.queries,
        peers=_peers(chosen),
        against=chosen.against and chosen.against.resolve(),
        node_warm_up_seconds=0.1 if chosen.tiny else 20,
    )
    with tempfile.TemporaryDirectory() as folder:
        results = uvloop.run(compare(Stage(Path(folder)), options))
    print(medians(results), file=sys.stderr)
    return {".md": report(results)}


def _growth(chosen: argparse.Namespace) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        growths = [
            uvloop.run(
                grow(
                    stage,
                    axis,
                    rounds=1 if chosen.tiny else chosen.rounds * 4,
                    requests=5 if chosen.tiny else 100,
                    most=10 if chosen.tiny else chosen.most,
                )
            )
            for axis in chosen.axes
        ]
    return {".md": growth.report(growths), ".svg": plot(growths)}


def _stages(chosen: argparse.Namespace) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = 0.2 if chosen.tiny else chosen.seconds * 4
        return {".md": uvloop.run(table(Stage(Path(folder)), Path(folder), seconds=seconds))}


def _large(chosen: argparse.Namespace) -> dict[str, str]:
    sizes = {"projects": 10, "images": 20} if chosen.tiny else {"projects": 100, "images": 200}
    with tempfile.TemporaryDirectory() as folder:
        measured = large.table(Stage(Path(folder)), **sizes, requests=1 if chosen.tiny else 12)
        return {".md": uvloop.run(measured)}


def _streams(chosen: argparse.Namespace) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = 0.2 if chosen.tiny else chosen.seconds * 10
        measured = streams.table(Stage(Path(folder)), streams=40 if chosen.tiny else 999, seconds=seconds)
        return {".md": uvloop.run(measured)}


_WHAT = {"compare": _compare, "growth": _growth, "stages": _stages, "large": _large, "streams": _streams}


def main() -> int:
    chosen = _parser().parse_args()
    try:
        printed = _WHAT[chosen.what](chosen)
    except BenchmarkError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(printed[".md"], end="")
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        for suffix, text in printed.items():
            (chosen.out / chosen.what).with_suffix(suffix).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
