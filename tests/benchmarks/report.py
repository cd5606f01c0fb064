"""The report of the comparison: ratios, the goals, and the conditions under which they were measured."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path

from tests.benchmarks.compare import (
    AGAINST,
    BRAMBLE,
    CACHE_OFF,
    GATEWAY,
    MERCURIUS,
    MODES,
    PLAIN,
    YOGA,
    Case,
    Results,
    described,
)
from tests.benchmarks.load import Outcome
from tests.benchmarks.queries import QUERIES

_PACKAGES = ("strawberry-graphql", "graphql-core", "msgspec", "uvicorn", "uvloop", "httptools", "httpx")
_SERVERS = (AGAINST, PLAIN, BRAMBLE, MERCURIUS, YOGA, CACHE_OFF)


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that has to be reached, and the one that is aimed at."""

    least: float
    aim: float


GOALS = {
    Case("uncached", "Q1", PLAIN): Goal(22, 40),
    Case("uncached", "Q1", MERCURIUS): Goal(0.5, 1.0),
    Case("uncached", "Q2", PLAIN): Goal(20, 26),
    Case("uncached", "Q2", MERCURIUS): Goal(1.0, 1.4),
    Case("uncached", "Q3", PLAIN): Goal(20, 28),
    Case("uncached", "Q3", MERCURIUS): Goal(1.7, 2.5),
    Case("full", "Q1", CACHE_OFF): Goal(0.85, 0.95),
    Case("full", "Q2", CACHE_OFF): Goal(0.85, 0.95),
    Case("full", "Q3", CACHE_OFF): Goal(0.85, 0.95),
    Case("hot", "Q1", MERCURIUS): Goal(1.0, 1.8),
    Case("hot", "Q2", MERCURIUS): Goal(6, 9),
    Case("hot", "Q3", MERCURIUS): Goal(12, 15),
    Case("mix", "mix", MERCURIUS): Goal(2, 4),
}
# The 99th percentile of the latency, divided by the median.
WIDE_GOAL = Goal(3, 2)


def report(results: Results) -> str:
    """Return the report as Markdown: it holds ratios, because absolute figures belong to one machine."""
    sections = (_conditions(results), _ratios(results), _latencies(results), _goals(results))
    return "\n\n".join("\n".join(lines) for lines in map(list, sections) if lines) + "\n"


def medians(results: Results) -> str:
    """Return the absolute figures."""
    lines = []
    for case, outcomes in results.outcomes.items():
        figures = {name: results.median(case, attrgetter(name)) for name in Outcome.__slots__}
        lines.append(f"median of {len(outcomes)}: {described(case, Outcome(**figures))}")
    return "\n".join(lines)


def _conditions(results: Results) -> Iterable[str]:
    options = results.options
    yield f"Python {platform.python_version()}, {_processor()}; each server on one core, all else on another."
    yield ", ".join(f"{package} {version(package)}" for package in _PACKAGES) + "."
    yield (
        f"{options.connections} connections, variables, proxy headers, default log level to a file;"
        f" medians of {options.rounds} interleaved rounds of {options.seconds:g} s."
    )
    yield from (f"- {query.name}: {query.about}." for query in QUERIES.values())
    yield from (f"- {name}: {MODES[name].about}." for name in options.modes)


def _ratios(results: Results) -> Iterable[str]:
    servers = [name for name in _SERVERS if any(case.server == name for case in results.outcomes)]
    if not servers:
        return
    yield f"| requests/s (requests per CPU second) of the gateway, to | {' | '.join(servers)} |"
    yield "|---|" + "---:|" * len(servers)
    for case in results.outcomes:
        if case.server == GATEWAY:
            cells = [_cell(results, Case(case.mode, case.query, name)) for name in servers]
            if not any(cells):
                continue
            yield f"| {_named(case)} | {' | '.join(cells)} |"


def _cell(results: Results, case: Case) -> str:
    if case not in results.outcomes:
        return ""
    by_time = results.ratio(case, lambda outcome: outcome.requests_per_second)
    by_cpu = results.ratio(case, lambda outcome: 1 / outcome.cpu_seconds)
    return f"{_ratio(by_time)} ({_ratio(by_cpu)})"


def _latencies(results: Results) -> Iterable[str]:
    cases = [case for case in results.outcomes if case.mode in {"mix", "wide"}]
    if not cases:
        return
    yield "| latency | p99 to median | p99 to the gateway's |"
    yield "|---|---:|---:|"
    for case in cases:
        own = results.median(case, _p99_to_median)
        gateways = 1 / results.ratio(case, lambda outcome: outcome.p99_seconds)
        yield f"| {_named(case)}, {case.server} | {_ratio(own)} | {_ratio(gateways)} |"


def _goals(results: Results) -> Iterable[str]:
    lines = []
    for case, goal in GOALS.items():
        if case in results.outcomes:
            reached = results.ratio(case, attrgetter("requests_per_second"))
            by_cpu = _ratio(1 / results.ratio(case, attrgetter("cpu_seconds")))
            is_met = reached >= goal.least
            lines.append(_row(f"{_named(case)}, to {case.server}", goal, reached, by_cpu, is_met=is_met))
    wide = Case("wide", "Q1", GATEWAY)
    if wide in results.outcomes:
        reached = results.median(wide, _p99_to_median)
        is_met = reached <= WIDE_GOAL.least
        lines.append(_row("wide Q1, p99 to median", WIDE_GOAL, reached, "", is_met=is_met))
    if lines:
        yield "| must reach | at least | aim | reached | by CPU | |"
        yield "|---|---:|---:|---:|---:|---|"
        yield from lines


def _row(name: str, goal: Goal, reached: float, by_cpu: str, *, is_met: bool) -> str:
    met = "yes" if is_met else "**no**"
    return f"| {name} | {goal.least:g} | {goal.aim:g} | {_ratio(reached)} | {by_cpu} | {met} |"


def _p99_to_median(outcome: Outcome) -> float:
    return outcome.p99_seconds / outcome.p50_seconds


def _named(case: Case) -> str:
    return case.mode if case.mode == case.query else f"{case.mode} {case.query}"


def _ratio(value: float) -> str:
    return f"{value:.0f}x" if value >= 100 else f"{value:.3g}x"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{os.cpu_count()} cores ({next(names, platform.machine())})"
