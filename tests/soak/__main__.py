"""Runs the gateway for minutes under faults, an outage and clients that hang up: `python -m tests.soak`.

The gateway is a process of its own; the faulty REST API and the clients share another. Needs Linux, because
memory and sockets are read from /proc. `phases.py` explains the scale of the clock.
"""

import argparse
import asyncio
import sys
import time

from tests.soak.load import FAILED, FRESH, STALE
from tests.soak.phases import WITH_RULES, WITHOUT_RULES, PhaseResult, Tick, disconnects, faults, outage
from tests.soak.running import Resources

_RATE = 0.2

# Scaled like the settings: ten minutes for the gateway.
_OUTAGE_SECONDS = 10

_BAR_WIDTH = 30


class Progress:
    """A progress bar for each phase on a terminal, else a line."""

    def __init__(self) -> None:
        self._drawn_at = 0.0

    def phase(self, name: str) -> Tick:
        sys.stderr.write(f"{name}\n")

        def on_tick(done: float) -> None:
            now = time.monotonic()
            if sys.stderr.isatty() and now - self._drawn_at > 0.2:
                self._drawn_at = now
                filled = round(done * _BAR_WIDTH)
                sys.stderr.write(f"\r  [{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done:4.0%} \r")

        return on_tick


def table(outcomes: list[PhaseResult], hung_up: int, before: Resources, after: Resources) -> str:
    rows = [
        "| phase | operations | fresh | stale | failed | before | after |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for outcome in outcomes:
        shares = " | ".join(f"{outcome.share(kind):.1%}" for kind in (FRESH, STALE, FAILED))
        operations = f"{outcome.counted.total():,}"
        rows.append(f"| {outcome.name} | {operations} | {shares} | {outcome.before} | {outcome.after} |")
    rows.append(f"| {hung_up:,} clients hang up | | | | | {before} | {after} |")
    return "\n".join(rows)


async def soak(*, minutes: float, hung_up: int) -> str:
    progress = Progress()
    seconds = max(2.0, (minutes * 60 - 2 * _OUTAGE_SECONDS) / 2)
    outcomes = []
    for rules, settings in (("without the rules", WITHOUT_RULES), ("with the rules", WITH_RULES)):
        name = f"faults {_RATE:.0%}, {rules}"
        tick = progress.phase(name)
        outcomes.append(await faults(name, settings, seconds=seconds, rate=_RATE, on_tick=tick))
    for rules, settings in (("without the rules", WITHOUT_RULES), ("with the rules", WITH_RULES)):
        name = f"upstream down, {rules}"
        tick = progress.phase(name)
        outcomes.append(await outage(name, settings, seconds=_OUTAGE_SECONDS, on_tick=tick))
    before, after = await disconnects(times=hung_up, on_tick=progress.phase("clients that hang up"))
    return table(outcomes, hung_up, before, after)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Run the gateway under faults.")
    parser.add_argument("--minutes", type=float, default=5.0, help="minutes of faults and outage")
    parser.add_argument("--disconnects", type=int, default=10_000, help="number of clients that hang up")
    arguments = parser.parse_args()
    print(asyncio.run(soak(minutes=arguments.minutes, hung_up=arguments.disconnects)))


if __name__ == "__main__":
    main()
