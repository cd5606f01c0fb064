"""The phases of the soak: a mix of faults, an outage, and clients that hang up.

The clock is scaled: settings of a sixtieth turn a minute of the gateway's defaults into a second. Constants
are not scaled: a page that failed to revalidate is tried again after a second.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.catalogue import REFUSED
from tests.faults.endpoint import Capacity, faulty_endpoint
from tests.soak.load import FAILED, FRESH, STALE, hang_up, hot, load, mixed
from tests.soak.running import Resources, running_gateway

# A minute of the defaults is a second.
SCALED: dict[str, float | str] = {
    "cache_ttl_seconds": 0.5,
    "cache_unfinished_ttl_seconds": 0.05,
    "upstream_total_timeout_seconds": 1,
    # The cache is full early, so that later growth has another cause.
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
"""The faults of upstream, with equal shares."""

_UPSTREAM_CONNECTIONS = 20

Tick = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """The outcomes of the operations of a phase, and the resources of the gateway before and after it."""

    name: str
    counted: Counter[str]
    before: Resources
    after: Resources

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
) -> PhaseResult:
    async with (
        faulty_endpoint() as upstream,
        running_gateway(upstream.url, **settings) as gateway,
    ):
        await load(gateway.url, mixed, seconds=seconds / 5)
        before = await gateway.resources()
        await upstream.mix({fault: rate / len(MIX) for fault in MIX})
        counted = await load(gateway.url, mixed, seconds=seconds * 4 / 5, on_tick=on_tick)
        after = await gateway.settled(tasks=before.tasks, sockets=before.sockets)
        return PhaseResult(name, counted, before, after)


async def outage(
    name: str, settings: dict[str, float | str], *, seconds: float, on_tick: Tick
) -> PhaseResult:
    """Send known operations while every connection is refused."""
    async with (
        faulty_endpoint() as upstream,
        running_gateway(upstream.url, **settings) as gateway,
    ):
        await load(gateway.url, hot, seconds=1)
        before = await gateway.resources()
        await upstream.inject(REFUSED)
        counted = await load(gateway.url, hot, seconds=seconds, on_tick=on_tick)
        after = await gateway.settled(tasks=before.tasks, sockets=before.sockets)
        return PhaseResult(name, counted, before, after)


async def disconnects(*, times: int, on_tick: Tick) -> tuple[Resources, Resources]:
    """Return the resources of the gateway before and after clients hang up, `times` in all."""
    settings = {**WITH_RULES, "upstream_max_connections": _UPSTREAM_CONNECTIONS}
    async with (
        faulty_endpoint(capacity=Capacity(100, 0.01)) as upstream,
        running_gateway(upstream.url, **settings) as gateway,
    ):
        idle = await gateway.resources()
        # Idle connections to upstream stay open for the next calls.
        max_sockets = idle.sockets + _UPSTREAM_CONNECTIONS
        await hang_up(gateway.port, times=200)
        before = await gateway.settled(tasks=idle.tasks, sockets=max_sockets)
        await hang_up(gateway.port, times=times, on_tick=on_tick)
        return before, await gateway.settled(tasks=idle.tasks, sockets=max_sockets)
