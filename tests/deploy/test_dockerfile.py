"""What can be known of the image without building it; `python -m tests.image` builds and runs it."""

import json
import re
import shutil
from pathlib import Path, PurePosixPath

import pytest

from gallery_gateway.settings import Settings
from tests.deploy.dockerfile import ROOT, ignored, instructions, is_sent, last
from tests.deploy.programs import check
from tests.release.fixtures import Build


def test_both_stages_stand_on_a_slim_python_of_one_minor_version() -> None:
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]

    assert bases == ["${PYTHON_IMAGE}"] * 2
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-[a-z]+", instructions()[0][1])


def test_every_package_is_installed_by_its_hash_or_is_our_own() -> None:
    installs = [part for name, rest in instructions() if name == "RUN" for part in rest.split("&&")]
    installs = [part for part in installs if re.search(r"\bpip\b.* install ", part)]

    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)


def test_it_runs_as_a_numeric_user_who_is_not_root() -> None:
    user, group = last("USER").split(":")

    assert int(user) >= 1000
    assert int(group) >= 1000


def test_it_starts_the_command_itself_so_that_signals_reach_it() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["gallery-gateway"]
    assert json.loads(last("CMD")) == ["serve"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_it_listens_where_others_can_reach_it_and_writes_no_bytecode() -> None:
    environment = dict(pair.split("=", 1) for pair in last("ENV").split())

    assert environment["GALLERY_GATEWAY_HOST"] == "0.0.0.0"  # noqa: S104  # a container is its own network
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert last("EXPOSE").split()[0] == str(Settings.model_fields["port"].default)


def test_hadolint_finds_nothing() -> None:
    assert check("hadolint", str(ROOT / "Dockerfile")) == ""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build stage has: what `.dockerignore` lets through, and the COPY instructions take."""
    folder = tmp_path_factory.mktemp("context")
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    for source in (ROOT / name for names in copied for name in names):
        for file in [source] if source.is_file() else source.rglob("*"):
            path = file.relative_to(ROOT)
            if file.is_file() and is_sent(PurePosixPath(path), ignored()):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / path)
    return folder


def test_the_build_is_sent_only_what_it_needs(context: Path) -> None:
    names = {path.name for path in [*context.iterdir(), *(context / "deploy").iterdir()]}
    suffixes = {path.suffix for path in context.rglob("*") if path.is_file()}

    locks = {"requirements.txt", "requirements-build.txt"}
    assert names == {"LICENSE", "README.md", "deploy", "pyproject.toml", "src"} | locks
    assert not suffixes & {".pyc", ".jsx", ".mjs"}
    assert not list(context.rglob("source"))


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        "tests/fakes.py",
        "src/.env",
        "deploy/compose.yaml",
        "deploy/kubernetes/settings.yaml",
        "src/gallery_gateway/__pycache__/app.pyc",
    ],
)
def test_what_is_private_or_built_is_not_sent(path: str) -> None:
    assert not is_sent(PurePosixPath(path), ignored())


def test_the_image_holds_the_wheel_of_a_release(context: Path, built: Path, build_wheel: Build) -> None:
    assert build_wheel(context).read_bytes() == next(built.glob("*.whl")).read_bytes()
