"""What the soak consists of: a mix of faults, an outage, and clients that hang up.

The clock is scaled: a minute of the gateway's defaults is a second here, by settings of a sixtieth. What is
no setting is not scaled: a page whose renewal has failed is tried again once a second.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.catalogue import REFUSED
from tests.faults.endpoint import Capacity, faulty_endpoint
from tests.soak.load import FAILED, FRESH, STALE, hang_up, hot, load, mixed
from tests.soak.running import Taken, running_gateway

# A minute is a second.
SCALED: dict[str, float | str] = {
    "cache_ttl_seconds": 0.5,
    "cache_unfinished_ttl_seconds": 0.05,
    "upstream_total_timeout_seconds": 1,
    # Full early on, so that whatever grows is something else.
    "cache_max_bytes": 8 * 2**20,
}
WITH_RULES: dict[str, float | str] = {
    **SCALED,
    "stale_while_revalidate_seconds": 0.5,
    "stale_if_error_seconds": 60,
}
WITHOUT_RULES: dict[str, float | str] = {
    **SCALED,
    "stale_while_revalidate_seconds": 0,
    "stale_if_error_seconds": 0,
    "upstream_max_attempts": 1,
}

MIX = (
    *("500", "502", "503", "504", "429-retry-after", "reset-at-once", "reset-half-way", "not-json"),
    *("cut-json", "empty"),
)
"""Faults that upstream has at times; each has its share of the whole."""

_UPSTREAM_CONNECTIONS = 20

Tick = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the operations of a phase, and what the gateway took before and after."""

    name: str
    counted: Counter[str]
    before: Taken
    after: Taken

    def share(self, kind: str) -> float:
        return self.counted[kind] / max(1, self.counted.total())

    @property
    def answered(self) -> float:
        return self.share(FRESH) + self.share(STALE)

    @property
    def failed(self) -> float:
        return self.share(FAILED)


async def faults(
    name: str, settings: dict[str, float | str], *, seconds: float, rate: float, on_tick: Tick
) -> Outcome:
    async with (
        faulty_endpoint() as upstream,
        running_gateway(upstream.url, **settings) as gateway,
    ):
        await load(gateway.url, mixed, seconds=seconds / 5)
        before = await gateway.taken()
        await upstream.mix({fault: rate / len(MIX) for fault in MIX})
        counted = await load(gateway.url, mixed, seconds=seconds * 4 / 5, on_tick=on_tick)
        after = await gateway.settled(tasks=before.tasks, sockets=before.sockets)
        return Outcome(name, counted, before, after)


async def outage(name: str, settings: dict[str, float | str], *, seconds: float, on_tick: Tick) -> Outcome:
    """Operations that were asked for before, while every connection is refused."""
    async with (
        faulty_endpoint() as upstream,
        running_gateway(upstream.url, **settings) as gateway,
    ):
        await load(gateway.url, hot, seconds=1)
        before = await gateway.taken()
        await upstream.inject(REFUSED)
        counted = await load(gateway.url, hot, seconds=seconds, on_tick=on_tick)
        after = await gateway.settled(tasks=before.tasks, sockets=before.sockets)
        return Outcome(name, counted, before, after)


async def disconnects(*, times: int, on_tick: Tick) -> tuple[Taken, Taken]:
    """What the gateway takes before and after so many clients have hung up on it."""
    settings = {**WITH_RULES, "upstream_max_connections": _UPSTREAM_CONNECTIONS}
    async with (
        faulty_endpoint(capacity=Capacity(100, 0.01)) as upstream,
        running_gateway(upstream.url, **settings) as gateway,
    ):
        idle = await gateway.taken()
        # Connections to upstream are kept open for the next calls.
        most_sockets = idle.sockets + _UPSTREAM_CONNECTIONS
        await hang_up(gateway.port, times=200)
        before = await gateway.settled(tasks=idle.tasks, sockets=most_sockets)
        await hang_up(gateway.port, times=times, on_tick=on_tick)
        return before, await gateway.settled(tasks=idle.tasks, sockets=most_sockets)
