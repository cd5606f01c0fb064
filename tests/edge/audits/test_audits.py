"""The GraphQL over HTTP specification, as the npm package graphql-http audits it, against the real server."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.process.serving import demo

HERE = Path(__file__).parent
FILES = ["package.json", "package-lock.json", ".npmrc", "audit.mjs"]

Audit = dict[str, Any]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def audits(tmp_path_factory: pytest.TempPathFactory) -> list[Audit]:
    """The result of every audit."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("audits")
    for name in FILES:
        shutil.copy(HERE / name, folder)
    await install(folder)
    async with demo() as server:
        status, printed = await run("node", "audit.mjs", f"{server.url}/graphql", folder=folder)
    assert status == 0, printed + "".join(server.lines)
    results: list[Audit] = json.loads(printed)
    return results


async def install(folder: Path) -> None:
    status, printed = await run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    if status and "CI" not in os.environ and "npm error network" in printed:
        pytest.skip("npm cannot reach its registry")
    assert status == 0, printed


async def run(*command: str, folder: Path) -> tuple[int | None, str]:
    """Exit status, and what was printed: where it failed, its errors too."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=pipe, stderr=pipe)
    printed, errors = await process.communicate()
    return process.returncode, (printed + errors if process.returncode else printed).decode()


# Those that are optional pass too; one that is dropped on purpose is named here.
@pytest.mark.parametrize("level", ["MUST", "SHOULD", "MAY"])
async def test_every_audit_of_this_level_passes(audits: list[Audit], level: str) -> None:
    audited = [audit for audit in audits if audit["name"].startswith(level)]

    failed = [audit for audit in audited if audit["status"] != "ok"]

    assert len(audited) > 10
    assert not failed, json.dumps(failed, indent=2)


def test_the_locked_packages_name_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())

    assert all("resolved" not in package for package in lock["packages"].values())
    assert "://registry" not in json.dumps(lock)
