"""The wheel and the sdist: what they hold, what they tell, and that the wheel runs alone."""

import os
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

from gallery_gateway import __version__
from tests.deploy.programs import check
from tests.release.building import ROOT
from tests.release.fixtures import Build

PACKAGE = ROOT / "src" / "gallery_gateway"
# Built from it is what `edge/graphiql/static` holds.
LEFT_OUT = PACKAGE / "edge" / "graphiql" / "source"


@pytest.fixture
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(built.glob("*.whl")))


@pytest.fixture
def sdist(built: Path, tmp_path: Path) -> Path:
    """The unpacked source distribution."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        # Python 3.11.2, of Debian 12, has no filters.
        filters: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **filters)  # noqa: S202  # our own
    return tmp_path / f"gallery_gateway-{__version__}"


def names(folder: Path) -> set[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and LEFT_OUT not in path.parents]
    return {path.relative_to(folder.parent).as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert held == names(PACKAGE)
    assert "gallery_gateway/py.typed" in held


def test_the_sdist_holds_what_is_built_tested_and_deployed(sdist: Path) -> None:
    top = {path.name for path in sdist.iterdir()}

    expected = {"src", "tests", "docs", "deploy", "schema.graphql", "README.md", "LICENSE", "Dockerfile"}
    assert top - {".gitignore"} == expected | {"pyproject.toml", ".dockerignore", "PKG-INFO"}
    assert not list(sdist.rglob("__pycache__"))
    assert not list(sdist.rglob("node_modules"))


def test_a_wheel_of_the_sdist_is_the_wheel(built: Path, sdist: Path, build_wheel: Build) -> None:
    assert build_wheel(sdist).read_bytes() == next(built.glob("*.whl")).read_bytes()


def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_tells_what_it_is(wheel: zipfile.ZipFile) -> None:
    fields = metadata(wheel)

    assert (fields["Name"], fields["Version"]) == ("gallery-gateway", __version__)
    assert fields["License-Expression"] == "MIT"
    assert fields["Description-Content-Type"] == "text/markdown"
    assert fields.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_twine_finds_no_fault(built: Path) -> None:
    printed = check("twine", "check", "--strict", *map(str, sorted(built.iterdir())))

    assert printed.count("PASSED") == 2


def run_alone(wheel: zipfile.ZipFile, folder: Path, *arguments: str) -> str:
    """Runs the wheel's own command line, with the packages that are installed here."""
    wheel.extractall(folder)  # noqa: S202  # our own
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    program = "import sys, gallery_gateway as g; print(g.__file__, file=sys.stderr); "
    program += "from gallery_gateway.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(  # noqa: S603  # our own words, with no shell in between
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith(str(folder))
    return ended.stdout


def test_the_wheel_runs_alone(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    printed = run_alone(wheel, tmp_path, "schema")

    assert printed == (ROOT / "schema.graphql").read_text(encoding="utf-8")
