"""The programs are compiled and run once for all tests."""

import os
from pathlib import Path

import pytest

from tests.clients.programs import Run, restored, run_all, stored
from tests.npm import alone


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers have in common."""
    shared = tmp_path_factory.getbasetemp()
    return shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared


@pytest.fixture(scope="session")
def runs(shared: Path) -> dict[str, Run]:
    """Made by the first worker that comes here; the others read it."""
    told = shared / "clients.json"
    with alone(shared):
        if not told.exists():
            told.write_text(stored(run_all(shared / "clients")))
    return restored(told.read_text())


@pytest.fixture(scope="session")
def compiled(shared: Path, runs: dict[str, Run]) -> Path:
    """The folder of the programs, once they are compiled."""
    assert runs["tsc"].status == 0, runs["tsc"].printed
    return shared / "clients"
