"""What a release consists of, built as it is built for users, but with the build tool that is here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(source: Path, folder: Path, *targets: str) -> None:
    """Builds the targets (`wheel`, `sdist`) of a source tree into a folder."""
    named = [word for target in targets for word in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), *named]
    built = subprocess.run(  # noqa: S603  # our own words, with no shell in between
        command, capture_output=True, text=True, check=False, cwd=source
    )
    assert built.returncode == 0, built.stderr
