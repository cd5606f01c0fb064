"""The programs from npm: installed once, composers that are asked, a router that runs."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """What a composer is told of one."""

    name: str
    sdl: str
    url: str = "http://nowhere.example/graphql"

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "url": self.url, "sdl": self.sdl}


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A supergraph, and the graph that its clients see; or the codes of what stands against it."""

    codes: list[str]
    supergraph: str | None = None
    graph: str | None = None


def compose(*graphs: Sequence[Subgraph], excluded: Sequence[str] | None = None) -> dict[str, list[Composed]]:
    """What each composer makes of each list of subgraphs; one run does them all.

    With `excluded`, it is the contract without these tags.
    """
    wanted = {
        "graphs": [[subgraph.as_json() for subgraph in graph] for graph in graphs],
        "excluded": excluded,
    }
    done = subprocess.run(
        ["node", "compose.mjs"],  # noqa: S607
        cwd=HERE,
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=True,
    )
    made = json.loads(done.stdout)
    return {name: [Composed(**composed) for composed in each] for name, each in made.items()}


ROUTERS = ["hive", "apollo"]


@asynccontextmanager
async def router(name: str, composed: Composed, folder: Path) -> AsyncIterator[str]:
    """Hive Gateway or Apollo Gateway with our configuration, until the block ends; gives its base URL."""
    port = _free_port()
    supergraph = _written(composed, folder)
    hive = ["node_modules/.bin/hive-gateway", "supergraph", supergraph, "--config-path", "gateway.config.mjs"]
    hive += ["--host", "127.0.0.1", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *(hive if name == "hive" else ["node", "apollo.mjs", supergraph, str(port)]),
        cwd=HERE,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    try:
        await _listening(process.stdout)
        # It is read to the end, so that it never waits for a reader.
        reading = asyncio.create_task(process.stdout.read())
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await reading


def _written(composed: Composed, folder: Path) -> str:
    path = folder / "supergraph.graphql"
    path.write_text(composed.supergraph or "", encoding="utf-8")
    return str(path)


async def _listening(printed: asyncio.StreamReader) -> None:
    lines = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for line in printed:
            lines.append(line.decode())
            if "Listening on" in lines[-1]:
                return
    pytest.fail("".join(lines))


def _free_port() -> int:
    # The router tells the port that it was given, not the one that it took.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
