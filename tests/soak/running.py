"""The gateway in a process of its own, and what it takes: memory, tasks, sockets."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = 30
# All operations of clients that hung up go on to their end.
_SETTLING_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process takes at one moment."""

    rss_bytes: int
    tasks: int
    sockets: int

    def __str__(self) -> str:
        return f"{self.rss_bytes / 2**20:.0f} MiB, {self.tasks} tasks, {self.sockets} sockets"


class Gateway:
    """A gateway under way."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    async def taken(self) -> Taken:
        assert self._process.stdout
        self._process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            line = await self._process.stdout.readline()
        process = Path("/proc") / str(self._process.pid)
        rss_pages = int((process / "statm").read_text().split()[1])
        return Taken(
            rss_bytes=rss_pages * os.sysconf("SC_PAGE_SIZE"),
            tasks=int(line.split()[1]),
            sockets=sum(_is_socket(file) for file in (process / "fd").iterdir()),
        )

    async def settled(self, *, tasks: int, sockets: int) -> Taken:
        """What it takes once it has no more tasks and sockets than these; or after a while."""
        taken = await self.taken()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING_SECONDS):
                while taken.tasks > tasks or taken.sockets > sockets:
                    await asyncio.sleep(0.1)
                    taken = await self.taken()
        return taken


@asynccontextmanager
async def running_gateway(upstream_url: str, **settings: float | str) -> AsyncIterator[Gateway]:
    """Settings by their Python names; those of the environment are left out."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("GALLERY_GATEWAY_")}
    chosen = {"upstream_url": upstream_url, "log_level": "error", **settings}
    known |= {f"GALLERY_GATEWAY_{name.upper()}": str(value) for name, value in chosen.items()}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.gateway", "serve", "--port", str(port)),
        env=known,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _listening(port)
        yield Gateway(process, port)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                await writer.wait_closed()
                return


def _is_socket(file: Path) -> bool:
    # It may be closed while it is looked at.
    with suppress(OSError):
        return str(file.readlink()).startswith("socket:")
    return False
