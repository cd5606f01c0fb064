"""The sizes of an image, and its bill of materials."""

import json
import os
import re
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from gallery_gateway import __version__
from tests.image.building import BASE, IMAGE, Store
from tests.image.lock import LOCK
from tests.image.programs import run

_MEGABYTE = 1_000_000

# The environment markers of requirements, with the values of the image.
_INSIDE = {
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}


def sizes(store: Store, folder: Path) -> dict[str, str]:
    """Return sizes by name; leave the image in `folder` as an OCI layout."""
    store.buildah("push", "--quiet", IMAGE, f"oci:{folder}:latest")
    manifest = _blob(folder, json.loads((folder / "index.json").read_text())["manifests"][0]["digest"])
    images = {
        image["names"][0]: image for image in json.loads(store.buildah("images", "--json")) if image["names"]
    }
    layers = [layer["size"] / _MEGABYTE for layer in manifest["layers"]]
    return {
        "image": images[IMAGE]["size"],
        "of it the stand-in": images[f"{BASE}:latest"]["size"],
        "compressed layers": " + ".join(f"{size:.1f}" for size in layers) + f" = {sum(layers):.1f} MB",
    }


def _blob(folder: Path, digest: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "blobs" / digest.replace(":", "/")).read_text())
    return read


def write_bill(layout: Path, file: Path) -> list[dict[str, Any]]:
    """Write the bill of materials (CycloneDX, JSON), and return its components."""
    # Otherwise it looks for a newer version in the network.
    environment = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    run("syft", "scan", f"oci-dir:{layout}", "-q", "-o", f"cyclonedx-json={file}", environment=environment)
    components: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["components"]
    return [component for component in components if component["type"] == "library"]


def locked() -> dict[str, str]:
    """Return the locked packages of the image's platform with their versions."""
    lines = re.findall(r"^\w[^\\\n]*", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    wanted = [Requirement(line) for line in lines]
    return {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate(_INSIDE)
    }


def check_bill(components: list[dict[str, Any]]) -> None:
    """Check that the image has the locked Python packages and the gateway, and no others."""
    found = {
        component["name"].lower().replace("_", "-"): component["version"]
        for component in components
        if component.get("purl", "").startswith("pkg:pypi/")
    }
    assert found == locked() | {"gallery-gateway": __version__}, found
