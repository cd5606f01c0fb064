"""Builds the image without a Docker engine: buildah in a chroot, on a stand-in for the base image.

The stand-in is what `python:3.13-slim-trixie` is in the main: Debian 13 with Python 3.13 and pip under
`/usr/local`. The base itself comes from a registry of images, which not every machine reaches.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gallery_gateway import __version__
from tests.image.programs import run

ROOT = Path(__file__).parents[2]
BASE = "localhost/stand-in"
IMAGE = f"localhost/gallery-gateway:{__version__}"

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_UNUSED = ("doc", "man", "locale", "info")


@dataclass(frozen=True)
class Store:
    """Buildah's image store, which survives a run, so that the stand-in is made once."""

    folder: Path

    def buildah(self, *arguments: str) -> str:
        places = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run")]
        return run("buildah", *places, "--storage-driver", "overlay", *arguments)

    def has(self, image: str) -> bool:
        return bool(self.buildah("images", "--quiet", "--filter", f"reference={image}"))

    def inspect(self, image: str) -> dict[str, Any]:
        """Return Docker's description of an image."""
        described: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))
        return described


def make_base(store: Store) -> None:
    archive = store.folder / "stand-in.tar"
    hooks = ['chroot "$1" python3 -m venv /usr/local']
    if _CERTIFICATES.exists():
        # The environment of the machine, which may reach the package index through a proxy.
        hooks.insert(0, f'cp {_CERTIFICATES} "$1{_CERTIFICATES}"')
    run(
        "mmdebstrap",
        "--quiet",
        "--variant=essential",
        "--include=python3,python3-venv,ca-certificates",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _UNUSED),
        *(f"--customize-hook={hook}" for hook in hooks),
        "trixie",
        str(archive),
    )
    container = store.buildah("from", "scratch").strip()
    store.buildah("add", container, str(archive), "/")
    store.buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
    store.buildah("commit", "--rm", container, BASE)
    archive.unlink()


def build(store: Store) -> None:
    """Build the Dockerfile like a release, except for the base image."""
    store.buildah(
        "build",
        "--isolation=chroot",
        # The OCI format has no health check.
        "--format=docker",
        "--no-cache",
        f"--build-arg=PYTHON_IMAGE={BASE}",
        f"--build-arg=VERSION={__version__}",
        f"--build-arg=REVISION={os.environ.get('REVISION', '')}",
        f"--tag={IMAGE}",
        str(ROOT),
    )
