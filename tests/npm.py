"""Programs from npm, as a folder's lock file has them: installed once, whichever tests want them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LEAST_NODE = 20


def install(folder: Path) -> None:
    """Installs what the lock file says, if another test or worker has not done so."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    if int(version.strip().removeprefix("v").split(".")[0]) < LEAST_NODE:
        pytest.skip(f"the programs need node {LEAST_NODE}; this is {version.strip()}")
    lock = (folder / "package-lock.json").read_bytes()
    stamp = folder / "node_modules" / ".installed"
    with alone(folder):
        if stamp.is_file() and stamp.read_bytes() == lock:
            return
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and "CI" not in os.environ and "npm error network" in done.stderr:
            pytest.skip("npm cannot reach its registry")
        assert done.returncode == 0, done.stderr
        stamp.write_bytes(lock)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process of this machine at a time, for this folder."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"gallery-gateway-tests-{name}").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
