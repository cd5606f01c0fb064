"""Compilers, tools and clients, run once for all tests: what each of them made, printed and saw."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gallery_gateway.demo.callers import CALLERS
from tests.npm import install
from tests.process.serving import demo

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
SCHEMA = DOCS / "api.graphql"
PAGE = (DOCS / "frontend.md").read_text(encoding="utf-8")
TOKEN = CALLERS[0].token

# In this order: each works on what the one before it has made.
COMPILERS: Mapping[str, tuple[str, ...]] = {
    "graphql-codegen": ("graphql-codegen", "--config", "codegen.ts"),
    "relay-compiler": ("relay-compiler", "relay.config.json"),
    "tsc": ("tsc",),
    "tsc of the page": ("tsc", "--project", "tsconfig.page.json"),
}
# Each takes the schema for clients; with that of the subgraph, all of them end in "Unknown directive".
TOOLS: Mapping[str, tuple[str, ...]] = {
    "graphql-inspector introspect": (
        "graphql-inspector",
        "introspect",
        "api.graphql",
        "--write",
        "made.json",
    ),
    "graphql-inspector validate": ("graphql-inspector", "validate", "tools/*.graphql", "api.graphql"),
    "eslint": ("eslint", "--config", "tools/eslint.config.mjs", "tools/list.graphql"),
}
CLIENTS = ("typed", "apollo", "urql", "urql-graphcache", "relay")
# The code on the page that is also run, by the programs in `src`.
RUN_SAMPLES = ("graphcache.ts", "live.ts", "EventStreamLink.ts", "liveExchange.ts", "events.ts", "poll.ts")

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
    for name, code in samples().items():
        (folder / "page" / name).write_text(code, encoding="utf-8")
    for name in RUN_SAMPLES:
        shutil.copy(folder / "page" / name, folder / "src")
    return asyncio.run(_run_all(folder))


def samples() -> dict[str, str]:
    """The code on the page that begins with the name of a file, by that name without its folders."""
    fences = re.findall(r"```(?:ts|tsx|java)\n(// (?:\S*/)?(\w+\.\w+)\n.*?)```", PAGE, flags=re.DOTALL)
    return {name: code for code, name in fences}


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
        for name, (program, *arguments) in {**COMPILERS, **TOOLS}.items():
            runs[name] = await _run(f"node_modules/.bin/{program}", *arguments, folder=folder)
        runs["graphql-js"] = await _run("node", "tools/build-schema.mjs", folder=folder)
        runs["houdini"] = await _run("../node_modules/.bin/houdini", "generate", folder=folder / "tools")
        for name in CLIENTS:
            command = ("node", "--import", "./extensions.mjs", f"out/{name}.js")
            runs[name] = await _run(*command, f"{server.url}/graphql", TOKEN, folder=folder)
        polling = ("node", "--import", "./extensions.mjs", "out/polling.js")
        runs["polling"] = await _run(*polling, folder=folder)
        if shutil.which("java"):
            url = f"{server.url}/graphql"
            runs["java"] = await _run("java", "page/Gallery.java", url, TOKEN, folder=folder)
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
