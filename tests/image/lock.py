"""`python -m tests.image.lock`: locks every package of the image to one version with hashes.

Needs uv, which the extra `release` brings. What is locked stays as long as it fits; `--upgrade` takes
the newest of each.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.image.programs import find

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "deploy" / "requirements.txt"
BUILD_LOCK = ROOT / "deploy" / "requirements-build.txt"

# Extras for contributors; the image has all others.
WORKBENCH_EXTRAS = frozenset({"benchmark", "dev", "release"})


def read_project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def wanted() -> list[str]:
    """Return the requirements of the image from `pyproject.toml`."""
    project = read_project()["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return [
        *project["dependencies"],
        *(line for name, lines in extras.items() if name not in WORKBENCH_EXTRAS for line in lines),
    ]


def wanted_by_the_build() -> list[str]:
    requires: list[str] = read_project()["build-system"]["requires"]
    return requires


def lock(requirements: list[str], file: Path, *options: str) -> None:
    command = [find("uv"), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", *options, "-", "--output-file", str(file)]
    environment = os.environ | {"UV_CUSTOM_COMPILE_COMMAND": "python -m tests.image.lock"}
    # Both arguments are constants.
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, env=environment)  # noqa: S603


if __name__ == "__main__":
    lock(wanted(), LOCK, *sys.argv[1:])
    lock(wanted_by_the_build(), BUILD_LOCK, *sys.argv[1:])
