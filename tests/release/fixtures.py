"""A release, built once for all tests and all processes that run them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.release.building import ROOT, build

Build = Callable[[Path], Path]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with the wheel and the sdist of this tree."""
    # The folder above is shared by the workers of pytest-xdist, where there are any.
    above = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = above / "release"
    with FileLock(above / "release.lock"):
        if not folder.exists():
            unfinished = tmp_path_factory.mktemp("unfinished")
            build(ROOT, unfinished, "wheel", "sdist")
            unfinished.rename(folder)
    return folder


@pytest.fixture
def build_wheel(tmp_path: Path) -> Build:
    """Builds the wheel of another source tree."""

    def build_it(source: Path) -> Path:
        build(source, tmp_path / "again", "wheel")
        return next((tmp_path / "again").glob("*.whl"))

    return build_it
