"""The programs that build, run and inspect the image."""

import shutil
import subprocess
import sys
from pathlib import Path

RELEASE_EXTRA = "pip install -e '.[release]'"

# The programs, and where each of them comes from.
NEEDED = {
    "buildah": "Debian's buildah",
    "mmdebstrap": "Debian's mmdebstrap",
    "runc": "Debian's runc",
    "syft": RELEASE_EXTRA,
}


class MissingProgramError(Exception):
    """A required program is not installed."""


def find(name: str) -> str:
    """Return the path of a program: beside this Python, or in PATH.

    Raises:
        MissingProgramError: it is in neither place.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingProgramError(f"{name} is missing ({NEEDED.get(name, RELEASE_EXTRA)})")
    return found


def run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run a program, and return its output."""
    command = [find(name), *arguments]
    # The arguments are constants, and no shell is involved.
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if ended.returncode:
        raise RuntimeError(f"{name} {arguments[0]} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    return ended.stdout
