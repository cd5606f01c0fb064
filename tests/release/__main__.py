"""`python -m tests.release`: runs the wheel and the sdist, each installed alone, on all Pythons they are for.

Those are found on the PATH as `python3.11` to `python3.14`, or given by `--python`. The last, if missing, is
that of Debian sid, in a root that mmdebstrap makes. What the distributions depend on comes from the package
index.
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

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
# Debian sid has it.
NEWEST = VERSIONS[-1]
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


Command = tuple[str | Path, ...]
"""A program and its first arguments."""


def install(python: Command, distribution: Path, folder: Path) -> Path:
    """The folder of the programs of a new environment that has this distribution and what it depends on."""
    *within, _ = python
    run(*python, "-m", "venv", folder, cwd=ROOT)
    run(*within, folder / "bin/python", "-m", "pip", "install", "--quiet", distribution, cwd=ROOT)
    run(*within, folder / "bin/python", "-m", "pip", "check", cwd=ROOT)
    return folder / "bin"


def make_sid(root: Path) -> Command:
    """The Python of Debian sid, in a root of its own."""
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    hooks = [f'mkdir -p "$1{root.parent}"']
    if certificates.exists():
        # Those of the machine, which may reach the package index through a proxy.
        hooks.append(f'cp {certificates} "$1{certificates}"')
    run(
        "mmdebstrap",
        "--quiet",
        "--variant=essential",
        "--include=python3,python3-venv,ca-certificates",
        # Mirrors may be snapshots.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")),
        *(f"--customize-hook={hook}" for hook in hooks),
        "sid",
        root,
        cwd=ROOT,
    )
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    return "chroot", root, "python3"


def pythons_of(folder: Path, given: list[str] | None) -> list[Command]:
    """The Pythons to run it on."""
    if given:
        return [(python,) for python in given]
    found: list[Command] = [(path,) for version in VERSIONS if (path := shutil.which(f"python{version}"))]
    if not shutil.which(f"python{NEWEST}"):
        if os.geteuid() == 0 and shutil.which("mmdebstrap"):
            found.append(make_sid(folder / "sid"))
        else:
            print(f"Python {NEWEST} is not tried: put it on the PATH, or run this as root with mmdebstrap")
    return found


@contextmanager
def serving(program: Command, folder: Path) -> Iterator[str]:
    """The demo, whose address is given; it ends by SIGTERM, with status 0."""
    command = [*program, "demo", "--port", "0"]
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


def check(program: Command, folder: Path) -> None:
    """The version, the graph, an operation, and the pages that are packed with it."""
    assert run(*program, "--version", cwd=folder) == f"{__version__}\n"
    assert run(*program, "schema", cwd=folder) == (ROOT / "schema.graphql").read_text(encoding="utf-8")
    assert json.loads(run(*program, "demo", "--once", cwd=folder))["data"]["gallery"]["projects"]
    with serving(program, folder) as url:
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
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        pythons = pythons_of(folder, given)
        if not pythons:
            print("no Python that it is for was found: give --python", file=sys.stderr)
            return 2
        build(ROOT, folder / "dist", "wheel", "sdist")
        for python in pythons:
            *within, _ = python
            if within:
                # The same paths in the root.
                shutil.copytree(folder / "dist", f"{within[1]}{folder}/dist")
            version = run(*python, "-V", cwd=folder).strip()
            for distribution in sorted((folder / "dist").iterdir(), reverse=True):
                started = time.monotonic()
                home = folder / f"{version}-{distribution.suffix}".replace(" ", "-")
                programs = install(python, distribution, home)
                check((*within, programs / "gallery-gateway"), folder)
                print(f"{version} {distribution.name}: ran in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
