"""The files of `deploy/`, read."""

from pathlib import Path
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = ROOT / "deploy" / "compose.yaml"

# Read by kustomize alone, which the cluster never sees.
KUSTOMIZATION = KUBERNETES / "kustomization.yaml"


def read(file: Path) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return held


def resource_files() -> list[Path]:
    return sorted(file for file in KUBERNETES.glob("*.yaml") if file != KUSTOMIZATION)


def resource(kind: str) -> dict[str, Any]:
    """The only resource of its kind."""
    (found,) = (held for held in map(read, resource_files()) if held["kind"] == kind)
    return found


def pod() -> dict[str, Any]:
    found: dict[str, Any] = resource("Deployment")["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    checked: dict[str, Any] = found
    return checked


def compose_service() -> dict[str, Any]:
    found: dict[str, Any] = read(COMPOSE)["services"]["gateway"]
    return found
