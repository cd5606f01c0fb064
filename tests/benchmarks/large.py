"""The largest response: its time, the longest pause of the loop, and the memory that it takes."""

import asyncio
import time
from pathlib import Path

from tests.benchmarks.load import Load
from tests.benchmarks.queries import FIRST_PAGE
from tests.benchmarks.servers import READY, ROOT, Server, Stage, ask

_AT_ONCE = (1, 4)


async def table(stage: Stage, *, projects: int, images: int, requests: int) -> str:
    """Return a table of one response, and of four at once."""
    about = f"{projects} projects of {images} images, 8 fields, uncached"
    lines = [f"| {about} | seconds | longest pause | memory to body |", "|---|---:|---:|---:|"]
    async with stage.upstream() as upstream:
        path = f"/gallery/by-project?page={FIRST_PAGE}&per_page={projects}&max_images_per_project={images}"
        _, body = await ask(upstream.port, f"GET {path} HTTP/1.1\r\n\r\n".encode())
        for connections in _AT_ONCE:
            async with stage.gateway(ROOT, upstream.url, {}) as server:
                before = _memory(server, "VmRSS")
                load = Load(
                    port=server.port,
                    query=f"{projects}x{images}",
                    varying="page",
                    token="large",
                    body_bytes={},
                    connections=connections,
                    requests=requests,
                    warm_up_requests=1,
                    warm_up_seconds=0,
                    seconds=0,
                    server_id=server.process_id,
                )
                loading = asyncio.create_task(stage.load([load]))
                pause = await _longest_pause(server, loading)
                [outcome] = await loading
                grown = _memory(server, "VmHWM") - before
            lines.append(
                f"| {connections} at once | {outcome.p50_seconds:.2f} | {pause * 1e3:.0f} ms"
                f" | {grown / len(body):.1f}x |"
            )
    return "\n".join([*lines, ""])


async def _longest_pause(server: Server, loading: asyncio.Task[object]) -> float:
    """Return the longest time in which a client with another connection waits for an answer."""
    longest = 0.0
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    while not loading.done():
        started = time.perf_counter()
        writer.write(READY)
        await reader.readuntil(b"}")
        longest = max(longest, time.perf_counter() - started)
        # The loop of the gateway must not be kept busy by the questions.
        await asyncio.sleep(0.002)
    writer.close()
    return longest


def _memory(server: Server, name: str) -> int:
    """Return a figure of /proc/PID/status in bytes."""
    lines = Path(f"/proc/{server.process_id}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
