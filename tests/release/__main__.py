"""`python -m tests.release`: runs the wheel and the sdist, each installed alone, on all Pythons they are for.

Those are found on the PATH as `python3.11` to `python3.13`, or given by `--python`. What the distributions
depend on comes from the package index.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gallery_gateway import __version__
from tests.release.building import ROOT, build

VERSIONS = ("3.11", "3.12", "3.13")
PATIENCE_SECONDS = 60


def run(*command: str | Path, cwd: Path) -> str:
    # Nothing of the tree, of this environment or of the settings here is seen.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GALLERY"))
    }
    ended = subprocess.run(  # noqa: S603  # our own words, with no shell in between
        list(map(str, command)), capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def install(python: str, distribution: Path, folder: Path) -> Path:
    """The folder of the programs of a new environment that has this distribution and what it depends on."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", distribution, cwd=folder)
    run(folder / "bin/python", "-m", "pip", "check", cwd=folder)
    return folder / "bin"


@contextmanager
def serving(programs: Path, folder: Path) -> Iterator[str]:
    """The demo, whose address is given; it ends by SIGTERM, with status 0."""
    command: list[str | Path] = [programs / "gallery-gateway", "demo", "--port", "0"]
    environment = os.environ | {"GALLERY_GATEWAY_LOG_LEVEL": "warning"}
    with subprocess.Popen(  # noqa: S603  # our own words
        command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as demo:
        assert demo.stdout
        line = next(line for line in demo.stdout if "The gateway:" in line)
        yield line.split()[2].removesuffix("/graphql")
        demo.terminate()
        demo.stdout.read()
        assert demo.wait(PATIENCE_SECONDS) == 0


def check(programs: Path, folder: Path) -> None:
    """The version, the graph, an operation, and the pages that are packed with it."""
    command = programs / "gallery-gateway"
    assert run(command, "--version", cwd=folder) == f"{__version__}\n"
    assert run(command, "schema", cwd=folder) == (ROOT / "schema.graphql").read_text(encoding="utf-8")
    assert json.loads(run(command, "demo", "--once", cwd=folder))["data"]["gallery"]["projects"]
    with serving(programs, folder) as url:
        for path in ("/readyz", "/graphql", "/"):
            request = urllib.request.Request(f"{url}{path}", headers={"accept": "text/html"})  # noqa: S310  # our own
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310  # our own URL
                assert response.status == 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument(
        "--python", action="append", metavar="PROGRAM", help="one of the Pythons to run it on"
    )
    given = parser.parse_args().python
    pythons = given or [found for version in VERSIONS if (found := shutil.which(f"python{version}"))]
    if not pythons:
        print("no Python that it is for was found: give --python", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        build(ROOT, folder / "dist", "wheel", "sdist")
        for python in pythons:
            version = run(python, "-V", cwd=folder).strip()
            for distribution in sorted((folder / "dist").iterdir(), reverse=True):
                started = time.monotonic()
                home = folder / f"{version}-{distribution.suffix}".replace(" ", "-")
                check(install(python, distribution, home), folder)
                print(f"{version} {distribution.name}: ran in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
