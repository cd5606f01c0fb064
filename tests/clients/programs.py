"""Compilers and clients from npm, run once for all tests: what each of them made, printed and saw."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gallery_gateway.demo.callers import CALLERS
from tests.npm import install
from tests.process.serving import demo

HERE = Path(__file__).parent
SCHEMA = HERE.parent.parent / "schema.graphql"
TOKEN = CALLERS[0].token

# In this order: each works on what the one before it has made.
COMPILERS: Mapping[str, tuple[str, ...]] = {
    "graphql-codegen": ("graphql-codegen", "--config", "codegen.ts"),
    "relay-compiler": ("relay-compiler", "relay.config.json"),
    "tsc": ("tsc",),
}
CLIENTS = ("typed", "apollo", "urql", "relay")

_PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Run:
    """How a program ended, and what it printed."""

    status: int | None
    printed: str


def run_all(folder: Path) -> dict[str, Run]:
    """Runs the compilers in a copy of this folder, and the clients against the demo; by their names."""
    install(HERE)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("node_modules", "*.py", "__pycache__"))
    shutil.copy(SCHEMA, folder)
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    (folder / "src" / "relay" / "__generated__").mkdir()
    return asyncio.run(_run_all(folder))


def stored(runs: Mapping[str, Run]) -> str:
    return json.dumps({name: asdict(run) for name, run in runs.items()})


def restored(text: str) -> dict[str, Run]:
    return {name: Run(**run) for name, run in json.loads(text).items()}


def seen(run: Run) -> dict[str, Any]:
    """What a client has seen."""
    assert run.status == 0, run.printed
    told: dict[str, Any] = json.loads(run.printed)
    return told


async def _run_all(folder: Path) -> dict[str, Run]:
    runs = {}
    async with demo() as server:
        for name, (program, *arguments) in COMPILERS.items():
            runs[name] = await _run(f"node_modules/.bin/{program}", *arguments, folder=folder)
        for name in CLIENTS:
            command = ("node", "--import", "./extensions.mjs", f"out/{name}.js")
            runs[name] = await _run(*command, f"{server.url}/graphql", TOKEN, folder=folder)
    return runs


async def _run(*command: str, folder: Path) -> Run:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=pipe, stderr=pipe, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            printed, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Run(process.returncode, (printed + errors if process.returncode else printed).decode())
