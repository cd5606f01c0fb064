"""What can be known of the image without a Docker engine."""

import asyncio
import fnmatch
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.process.serving import Server

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, its lines joined, in order."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = text.replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined if line)]


def last(name: str) -> str:
    """The arguments of the last instruction of this name: the one that holds for the image."""
    return [rest for found, rest in instructions() if found == name][-1]


def health_command() -> list[str]:
    command: list[str] = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    return command


def test_both_stages_stand_on_a_slim_python_of_one_minor_version() -> None:
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]

    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim", base) for base in bases)


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
    assert last("EXPOSE") == "8000"


async def run_health_command(**environment: str) -> int:
    program, *arguments = health_command()
    assert program == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def test_the_health_check_passes_for_a_server_that_lives(lonely_server: Server) -> None:
    status = await run_health_command(GALLERY_GATEWAY_PORT=str(lonely_server.port))

    assert status == 0


async def test_the_health_check_goes_past_proxies(lonely_server: Server) -> None:
    status = await run_health_command(
        GALLERY_GATEWAY_PORT=str(lonely_server.port), http_proxy="http://127.0.0.1:9"
    )

    assert status == 0


async def test_the_health_check_fails_where_nothing_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status = await run_health_command(GALLERY_GATEWAY_PORT=str(unused.getsockname()[1]))

    assert status == 1


def is_sent(path: PurePosixPath, patterns: list[str]) -> bool:
    """Whether `.dockerignore` lets a file through: the last pattern that matches it, or a parent, decides."""
    sent = True
    for pattern in patterns:
        is_exception = pattern.startswith("!")
        if any(matches(part, pattern.removeprefix("!")) for part in [path, *path.parents]):
            sent = is_exception
    return sent


def matches(path: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(path.name, pattern.removeprefix("**/"))
    return len(path.parts) == len(PurePosixPath(pattern).parts) and fnmatch.fnmatch(str(path), pattern)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build stage has: what `.dockerignore` lets through, and the COPY instructions take."""
    patterns = (ROOT / ".dockerignore").read_text().split()
    folder = tmp_path_factory.mktemp("context")
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY"]
    for source in (ROOT / name for names in copied for name in names):
        for file in [source] if source.is_file() else source.rglob("*"):
            path = file.relative_to(ROOT)
            if file.is_file() and is_sent(PurePosixPath(path), patterns):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / path)
    return folder


def build_wheel(source: Path, folder: Path) -> list[str]:
    """Makes a wheel as the build stage does, and gives the names of the files in it."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    if built.returncode and "CI" not in os.environ and "No matching distribution" in built.stderr:
        pytest.skip("pip cannot reach its registry")
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def wheel(context: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the image's wheel."""
    return build_wheel(context, tmp_path_factory.mktemp("wheel"))


def test_the_build_is_sent_only_what_it_needs(context: Path) -> None:
    names = {path.name for path in context.iterdir()}
    suffixes = {path.suffix for path in context.rglob("*") if path.is_file()}

    assert names == {"LICENSE", "README.md", "pyproject.toml", "src"}
    assert not suffixes & {".pyc", ".jsx", ".mjs"}
    assert not (ROOT / "src/gallery_gateway/edge/graphiql/source").is_dir() or not list(
        context.rglob("source")
    )


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "tests/fakes.py", "src/.env", "src/gallery_gateway/__pycache__/app.pyc"]
)
def test_what_is_private_or_built_is_not_sent(path: str) -> None:
    patterns = (ROOT / ".dockerignore").read_text().split()

    assert not is_sent(PurePosixPath(path), patterns)


@pytest.mark.parametrize(
    "name", ["gallery_gateway/py.typed", "gallery_gateway/cli.py", "gallery_gateway/demo/server.py"]
)
def test_the_wheel_holds_what_runs(wheel: list[str], name: str) -> None:
    assert name in wheel


def strays(wheel: list[str]) -> list[str]:
    unwanted = re.compile(r"(^|/)(tests|node_modules|graphiql/source)/")
    return [name for name in wheel if unwanted.search(name)]


def test_the_wheel_holds_no_tests_and_no_sources_of_the_page(wheel: list[str]) -> None:
    assert strays(wheel) == []


def test_a_wheel_of_the_whole_repository_holds_no_more(wheel: list[str], tmp_path: Path) -> None:
    assert sorted(build_wheel(ROOT, tmp_path)) == sorted(wheel)
