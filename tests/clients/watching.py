"""Programs that subscribe: each runs until it is stopped, or until its subscription is over."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.process.serving import PATIENCE_SECONDS


class Watcher:
    """A program under way, and the lines that it has printed, each an object of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[dict[str, Any]] = []
        self._process = process

    @property
    def answers(self) -> list[Any]:
        return [line["data"] for line in self.lines if "data" in line]

    async def read_until(self, is_seen: Callable[[], bool]) -> None:
        """Reads lines until the condition holds."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_seen():
                line = await self._process.stdout.readline()
                assert line, f"it ended after {self.lines}"
                self.lines.append(json.loads(line))

    async def see_answers(self, count: int) -> None:
        """Waits for so many answers after those that were seen."""
        wanted = len(self.answers) + count
        await self.read_until(lambda: len(self.answers) >= wanted)

    async def read_all(self) -> list[dict[str, Any]]:
        """Waits until the program ends by itself, and gives all of its lines."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self._process.stdout:
                self.lines.append(json.loads(line))
            assert await self._process.wait() == 0
        return self.lines

    def unsubscribe(self) -> None:
        """Tells it to; it goes on running."""
        assert self._process.stdin
        self._process.stdin.write(b"stop\n")

    def release(self) -> None:
        """Lets it end when it has nothing left to do."""
        assert self._process.stdin
        self._process.stdin.close()


@asynccontextmanager
async def watching(
    names: Sequence[str], url: str, token: str, *, folder: Path
) -> AsyncIterator[dict[str, Watcher]]:
    """Runs compiled programs until the block ends."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            "node", f"out/live-{name}.js", f"{url}/graphql", token, cwd=folder, stdin=pipe, stdout=pipe
        )
        for name in names
    ]
    try:
        yield {name: Watcher(process) for name, process in zip(names, processes, strict=True)}
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
