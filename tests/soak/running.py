"""The gateway in a process of its own, and its resources: memory, tasks and sockets."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

_PATIENCE_SECONDS = 30
# Operations of clients that hung up continue to their end.
_SETTLING_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a process at one moment."""

    rss_bytes: int
    tasks: int
    sockets: int

    def __str__(self) -> str:
        return f"{self.rss_bytes / 2**20:.0f} MiB, {self.tasks} tasks, {self.sockets} sockets"


class Gateway:
    """A running gateway."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    async def resources(self) -> Resources:
        assert self._process.stdout
        self._process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            line = await self._process.stdout.readline()
        process = Path("/proc") / str(self._process.pid)
        rss_pages = int((process / "statm").read_text().split()[1])
        return Resources(
            rss_bytes=rss_pages * os.sysconf("SC_PAGE_SIZE"),
            tasks=int(line.split()[1]),
            sockets=sum(_is_socket(file) for file in (process / "fd").iterdir()),
        )

    async def settled(self, *, tasks: int, sockets: int) -> Resources:
        """Wait until it has at most these tasks and sockets, or for a while; return its resources."""
        resources = await self.resources()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING_SECONDS):
                while resources.tasks > tasks or resources.sockets > sockets:
                    await asyncio.sleep(0.1)
                    resources = await self.resources()
        return resources


@asynccontextmanager
async def running_gateway(upstream_url: str, **settings: float | str) -> AsyncIterator[Gateway]:
    """Start a gateway; settings by their Python names, without those of the environment."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GALLERY_GATEWAY_")
    }
    chosen = {"upstream_url": upstream_url, "log_level": "error", **settings}
    environment |= {f"GALLERY_GATEWAY_{name.upper()}": str(value) for name, value in chosen.items()}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.gateway", "serve", "--port", str(port)),
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _ready(port)
        yield Gateway(process, port)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _ready(port: int) -> None:
    """Wait until the app has started; the port listens before."""
    async with asyncio.timeout(_PATIENCE_SECONDS), httpx.AsyncClient() as http:
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            await asyncio.sleep(0.1)


def _is_socket(file: Path) -> bool:
    # The file may be closed meanwhile.
    with suppress(OSError):
        return str(file.readlink()).startswith("socket:")
    return False
