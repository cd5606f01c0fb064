"""The growth: whether a request costs more CPU when the gateway keeps, knows or holds open more.

For each size of an axis, a gateway of its own is filled. Then a few requests at a time go to each in turn, so
that what disturbs the machine disturbs all sizes alike.
"""

import asyncio
import itertools
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.load import Load
from tests.benchmarks.queries import Varying
from tests.benchmarks.servers import READY, ROOT, Server, Stage

# A quarter of the cache is one caller's.
_SETTINGS = {
    "CACHE_MAX_BYTES": str(8 * 1024**3),
    "CACHE_TTL_SECONDS": "86400",
    "KEEP_ALIVE_SECONDS": "600",
}
_TOKEN = "grown"
_SMALL_PAGE = "1x1"
# Up to this size, each round has a caller of its own, so that its own requests do not count.
_RENEWED = 100
# How many requests one load generator sends to fill a gateway.
_PORTION = 10_000
# Hot requests are fast, so that a measurement needs more of them.
_HOT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Something that grows.

    Args:
        fills: by which requests a gateway gets to its size; None = not by requests.
    """

    about: str
    sizes: tuple[int, ...]
    fills: Varying | None = None


AXES = {
    "pages": Axis(
        about="pages of one listing kept for one caller", sizes=(10, 1_000, 10_000, 100_000), fills="page"
    ),
    "callers": Axis(about="callers with a page each", sizes=(10, 1_000, 10_000, 100_000), fills="caller"),
    "documents": Axis(about="documents sent before", sizes=(10, 1_000, 10_000), fills="document"),
    "connections": Axis(about="idle connections open", sizes=(0, 100, 1_000, 8_000)),
    "images": Axis(about="images of each of 20 projects", sizes=(1, 10, 50, 200)),
}

KINDS: dict[str, Varying] = {"uncached": "page", "hot": "headers"}


@dataclass(frozen=True, slots=True)
class Growth:
    """The ratios to the CPU seconds of a request at the smallest size, by size and kind."""

    axis: str
    ratios: Mapping[tuple[int, str], float]

    @property
    def sizes(self) -> list[int]:
        return list(dict.fromkeys(size for size, _ in self.ratios))


async def grow(stage: Stage, name: str, *, rounds: int, requests: int, most: int) -> Growth:
    """Measure one axis.

    Args:
        requests: of one measurement.
        most: largest size.
    """
    sizes = [size for size in AXES[name].sizes if size <= most]
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(stage.upstream())
        gateways = {}
        for size in sizes:
            server = await stack.enter_async_context(stage.gateway(ROOT, upstream.url, _SETTINGS))
            gateways[size] = Grown(name, size, server)
            for load in gateways[size].fill():
                await stage.load([load])
            if name == "connections":
                await _open(server.port, size, stack)
        loads = {
            (number, size, kind): grown.measure(kind, requests)
            for number in range(rounds)
            for size, grown in gateways.items()
            for kind in KINDS
        }
        outcomes = await stage.load(list(itertools.chain.from_iterable(loads.values())))
    # The last load of each measurement is the one that counts.
    ends = itertools.accumulate(map(len, loads.values()))
    # A tiny load may take less than a tick.
    seconds = {key: outcomes[end - 1].cpu_seconds or 1e-6 for key, end in zip(loads, ends, strict=True)}
    ratios = {}
    for size, kind in itertools.product(sizes, KINDS):
        medians = statistics.median(seconds[number, size, kind] for number in range(rounds))
        ratios[size, kind] = statistics.median(
            seconds[number, size, kind] / seconds[number, sizes[0], kind] for number in range(rounds)
        )
        printed = f"{name} {size:,}, {kind}: {medians * 1e3:.3f} ms CPU, {ratios[size, kind]:.2f}x"
        print(printed, file=sys.stderr)
    return Growth(name, ratios)


class Grown:
    """The requests that bring a gateway to its size, and those that measure it."""

    def __init__(self, axis: str, size: int, server: Server) -> None:
        self._fills = AXES[axis].fills
        self._size = size
        self._server = server
        self._query = f"20x{size}" if axis == "images" else _SMALL_PAGE
        self._renewed = itertools.count() if self._fills == "page" and size <= _RENEWED else None
        self._next_page = size if self._fills == "page" else 1

    def fill(self, token: str = _TOKEN) -> Iterator[Load]:
        if self._fills is None:
            yield self._load(token, varying="headers", requests=1)
            return
        for first in range(0, self._size, _PORTION):
            count = min(_PORTION, self._size - first)
            yield self._load(token, varying=self._fills, requests=count, first=first)

    def measure(self, kind: str, requests: int) -> list[Load]:
        if kind == "hot":
            return [self._load(varying="headers", requests=requests * _HOT)]
        loads: list[Load] = []
        token = _TOKEN
        if self._renewed:
            token = f"grown-{next(self._renewed)}"
            loads.extend(self.fill(token))
            self._next_page = self._size
        loads.append(self._load(token, varying="page", requests=requests, first=self._next_page))
        # The connections may send a few more than were asked for.
        self._next_page += requests + 10
        return loads

    def _load(self, token: str = _TOKEN, **what: Any) -> Load:
        return Load(
            port=self._server.port,
            query=self._query,
            token=token,
            body_bytes={},
            connections=4,
            warm_up_seconds=0,
            seconds=0,
            server_id=self._server.process_id,
            **what,
        )


async def _open(port: int, count: int, stack: AsyncExitStack) -> None:
    """Open connections that have been used once, and keep them until the stack ends."""
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        writer.write(READY)
        await reader.readuntil(b"\r\n\r\n")


def report(growths: Sequence[Growth]) -> str:
    """Return tables of ratios to the smallest size."""
    return "\n".join("\n".join(_table(growth)) for growth in growths)


def _table(growth: Growth) -> list[str]:
    lines = [f"| {AXES[growth.axis].about} | {' | '.join(KINDS)} |", "|---:|---:|---:|"]
    for size in growth.sizes:
        cells = [f"{growth.ratios[size, kind]:.2f}x" for kind in KINDS]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return [*lines, ""]
