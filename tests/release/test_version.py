"""The version stands in one place; whatever else tells it is compared with it."""

import re

import pytest

from gallery_gateway import __version__
from gallery_gateway.cli import main
from tests.release.building import ROOT


def test_the_command_tells_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


def test_the_changelog_begins_with_the_version() -> None:
    headings = re.findall(
        r"^## (\S+)", (ROOT / "docs/changelog.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert headings[0] == __version__
    assert len(headings) == len(set(headings))


def test_each_change_stands_under_a_kind() -> None:
    text = (ROOT / "docs/changelog.md").read_text(encoding="utf-8")
    kinds = set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE))

    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_cluster_runs_the_version() -> None:
    text = (ROOT / "deploy/kubernetes/kustomization.yaml").read_text(encoding="utf-8")

    assert re.findall(r"newTag: (\S+)", text) == [__version__]
