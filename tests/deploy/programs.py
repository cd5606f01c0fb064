"""Programs of the extra `release`, which look at what is deployed and released."""

import subprocess
import sys
from pathlib import Path

import pytest


def check(name: str, *arguments: str, cwd: Path | None = None) -> str:
    """What a program printed that found no fault; without the program, the test is skipped."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        pytest.skip(f"{name} is missing: pip install -e '.[release]'")
    ended = subprocess.run(  # noqa: S603  # our own words, with no shell in between
        [program, *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
