"""Counts the upstream calls and bytes of operations, savings off and on: `python -m tests.benchmarks.thrift`.

The demo's endpoint stands behind the gateway, in the same process. Off: no cache, no narrowing, and each root
field asked for by itself, which is what a gateway does that does not know galleries. On: the defaults.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from gallery_gateway.clock import Clock
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream
from tests.fakes import Client, gateway

TOKEN = CALLERS[0].token
NOON = 1_780_000_000.0
POLLERS = 50
POLL_SECONDS = 5
MINUTE = 60


@dataclass
class Bill:
    """Upstream calls, and the bytes of their bodies."""

    calls: int = 0
    size_bytes: int = 0


class MeteredEndpoint(httpx.AsyncBaseTransport):
    """The demo's REST API, with counted calls and bytes."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._endpoint = httpx.ASGITransport(create_upstream(clock=wall))
        self.bill = Bill()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._endpoint.handle_async_request(request)
        body = await response.aread()
        self.bill.calls += 1
        self.bill.size_bytes += len(body)
        return httpx.Response(response.status_code, content=body)


class Minutes:
    """A clock that the benchmark sets."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    def wall(self) -> float:
        return NOON + self.passed


@dataclass(frozen=True)
class Gateway:
    """A measured gateway; `merges` says whether it gets complete operations."""

    client: Client
    clock: Minutes
    merges: bool

    async def ask(self, *root_fields: str) -> None:
        operations = [root_fields] if self.merges else [(field,) for field in root_fields]
        for fields in operations:
            named = " ".join(f"field{number}: {field}" for number, field in enumerate(fields))
            answer = await self.client.ask("{ " + named + " }", token=TOKEN)
            assert "errors" not in answer, answer


TOTALS = "gallery { projects { projectName totalImages completedImages failedImages } }"
THUMBNAILS = "gallery { projects { projectName images(first: 12) { status output { thumbnail } } } }"
LIST = "gallery { projects { projectId projectName images(first: 6) { output { thumbnail } } } }"
DETAIL = "project(projectId: 10392, maxImages: 6) { projectName images { status output { fullSize } } }"
PANEL = "gallery {{ {} }}"
PANELS = [
    "pagination { total }",
    "pagination { pages }",
    "projects { projectName }",
    "projects { totalImages }",
    "projects { completedImages }",
    "projects { failedImages }",
    "projects { pendingImages }",
    "projects { createdAt }",
    "projects { createdBy }",
    "projects { images(first: 3) { output { thumbnail } } }",
]


async def totals(gateway: Gateway) -> None:
    await gateway.ask(TOTALS)


async def thumbnails(gateway: Gateway) -> None:
    await gateway.ask(THUMBNAILS)


async def dashboard(gateway: Gateway) -> None:
    await gateway.ask(*(PANEL.format(panel) for panel in PANELS))


async def progress(gateway: Gateway) -> None:
    # The clients start at different times, so that few requests coincide.
    for _ in range(POLLERS * MINUTE // POLL_SECONDS):
        await gateway.ask(TOTALS)
        gateway.clock.passed += POLL_SECONDS / POLLERS


async def list_then_detail(gateway: Gateway) -> None:
    await gateway.ask(LIST)
    await gateway.ask(DETAIL)


OPERATIONS: dict[str, Callable[[Gateway], Awaitable[None]]] = {
    "20 projects, totals only": totals,
    "20 projects, 12 thumbnails each": thumbnails,
    "a dashboard of ten aliases": dashboard,
    f"progress of 20 projects: {POLLERS} clients, every {POLL_SECONDS} s, a minute": progress,
    "a list, then one of its projects": list_then_detail,
}


async def measure(operation: Callable[[Gateway], Awaitable[None]], *, thrift: bool) -> Bill:
    clock = Minutes()
    endpoint = MeteredEndpoint(clock.wall)
    off: dict[str, Any] = {} if thrift else {"cache_ttl_seconds": 0, "narrowing": False}
    async with gateway(
        endpoint, clock=Clock(clock.monotonic, clock.wall), log_level="error", **off
    ) as client:
        await operation(Gateway(client, clock, merges=thrift))
    return endpoint.bill


async def table() -> str:
    lines = [
        "| operation | calls off | on | KB off | on | bytes |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, operation in OPERATIONS.items():
        off, on = await measure(operation, thrift=False), await measure(operation, thrift=True)
        share = f"1/{off.size_bytes / on.size_bytes:.0f}"
        kilobytes = f"{off.size_bytes / 1000:,.0f} | {on.size_bytes / 1000:,.0f}"
        lines.append(f"| {name} | {off.calls} | {on.calls} | {kilobytes} | {share} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(asyncio.run(table()))
