"""The programs that the image is built, run and looked through with."""

import shutil
import subprocess
import sys
from pathlib import Path

RELEASE_EXTRA = "pip install -e '.[release]'"

# What the image wants, and where each comes from.
NEEDED = {
    "buildah": "Debian's buildah",
    "mmdebstrap": "Debian's mmdebstrap",
    "runc": "Debian's runc",
    "syft": RELEASE_EXTRA,
}


class MissingProgramError(Exception):
    """Something that is needed is not installed."""


def find(name: str) -> str:
    """The path of a program: beside this Python, or where the shell would find it.

    Raises:
        MissingProgramError: it is in neither place.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingProgramError(f"{name} is missing ({NEEDED.get(name, RELEASE_EXTRA)})")
    return found


def run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Runs a program to its end, and gives what it printed."""
    command = [find(name), *arguments]
    # Our own words, with no shell in between.
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if ended.returncode:
        raise RuntimeError(f"{name} {arguments[0]} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    return ended.stdout
