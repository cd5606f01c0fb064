"""The report: the figures, the machine, and the ratios."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.first_runs import FirstRun
from tests.benchmarks.queries import QUERIES, STATES, Query, State, compared
from tests.benchmarks.rounds import FLOOR, GATEWAY, PLAIN, Case, Figures, Options

MEBIBYTE = 1024 * 1024

_PACKAGES = ("strawberry-graphql", "graphql-core", "msgspec", "uvicorn", "uvloop", "httptools", "httpx")
# Below this share of CPU, the server is not the bottleneck.
_BUSY_SHARE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All results.

    Args:
        rss_bytes: by the name of the server, after the last round.
        blocking: seconds, and for how many projects of how many images.
    """

    options: Options
    pinned: str
    figures: Mapping[Case, Figures]
    rss_bytes: Mapping[str, int]
    start_seconds: float
    blocking_seconds: float
    blocking_size: str
    first_runs: Mapping[str, FirstRun]

    def ratio(self, query: Query, state: State) -> float:
        """Return the ratio of requests per second to plain Strawberry."""
        gateway, plain = self._pair(query, state)
        return gateway.requests_per_second / plain.requests_per_second

    def cpu_ratio(self, query: Query, state: State) -> float:
        """Return the ratio of requests per CPU second to plain Strawberry; a busy machine affects it less."""
        gateway, plain = self._pair(query, state)
        return plain.cpu_seconds / gateway.cpu_seconds

    def floor_ratios(self, query: Query) -> tuple[float, float]:
        """Return the ratio of hot requests per second to constant bytes, by time and by CPU."""
        gateway = self.figures[Case(query, "hot", GATEWAY)]
        floor = self.figures[Case(query, "hot", FLOOR)]
        return (
            gateway.requests_per_second / floor.requests_per_second,
            floor.cpu_seconds / gateway.cpu_seconds,
        )

    def _pair(self, query: Query, state: State) -> tuple[Figures, Figures]:
        return self.figures[Case(query, state, GATEWAY)], self.figures[Case(query, state, PLAIN)]


def report(results: Results) -> str:
    sections = (_conditions(results), _ratios(results), _figures(results), _others(results))
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _conditions(results: Results) -> Iterable[str]:
    options = results.options
    yield f"Python {platform.python_version()}, {os.cpu_count()} cores ({_processor()}), {results.pinned}."
    yield ", ".join(f"{package} {version(package)}" for package in _PACKAGES) + "."
    arguments = "as variables" if options.with_variables else "in the document"
    yield (
        f"One process each, {options.connections} connections, medians of {options.rounds} interleaved"
        f" round(s) of {options.seconds:g} s, arguments {arguments};"
        " the gateway with its defaults but LOG_LEVEL=warning."
    )
    yield "Uncached: every request another caller's. Hot: all one caller's."
    yield from (f"{query.name}: {query.about}." for query in QUERIES)


def _ratios(results: Results) -> Iterable[str]:
    yield "| to plain Strawberry | requests/s | at least / aim | requests per CPU second | to the floor |"
    yield "|---|---:|---:|---:|---:|"
    for state in STATES:
        for query in compared():
            goal = query.goals[state]
            floor = "{:.2f}, by CPU {:.2f}".format(*results.floor_ratios(query)) if state == "hot" else ""
            yield (
                f"| {query.name} {state} | {results.ratio(query, state):.1f} x | {goal.least} / {goal.aim}"
                f" | {results.cpu_ratio(query, state):.1f} x | {floor} |"
            )


def _figures(results: Results) -> Iterable[str]:
    yield "| | server | requests/s | p50 ms | p99 ms | CPU ms | busy: server | upstream | load |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for case, figures in results.figures.items():
        yield (
            f"| {case.query.name} {case.state} | {case.server} | {figures.requests_per_second:,.0f}"
            f" | {figures.p50_seconds * 1e3:.2f} | {figures.p99_seconds * 1e3:.2f}"
            f" | {figures.cpu_seconds * 1e3:.3f} | {figures.server_share:.0%}{_mark(figures)}"
            f" | {figures.upstream_share:.0%} | {figures.load_share:.0%} |"
        )
    if any(map(_mark, results.figures.values())):
        yield ""
        yield "*: the server was not kept busy, so trust its CPU per request more than its requests/s."


def _others(results: Results) -> Iterable[str]:
    rss = ", ".join(f"{name} {size / MEBIBYTE:.0f} MiB" for name, size in results.rss_bytes.items())
    yield f"- RSS after the run: {rss}"
    yield (
        f"- Longest blocking of the event loop, {results.blocking_size}:"
        f" {results.blocking_seconds * 1e3:.0f} ms"
    )
    yield f"- Start, until /readyz answers: {results.start_seconds:.2f} s"
    for name, runs in results.first_runs.items():
        yield (
            f"- First run of a new document, {name} hot: {runs.first_seconds * 1e3:.2f} ms,"
            f" then {runs.later_seconds * 1e3:.2f} ms"
        )


def _mark(figures: Figures) -> str:
    return "*" if figures.server_share < _BUSY_SHARE else ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
