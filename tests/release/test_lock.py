"""The packages of the image are locked, and the lock is that of `pyproject.toml`."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.image.lock import BUILD_LOCK, LOCK, wanted, wanted_by_the_build

COMMAND = "run: python -m tests.image.lock"

ENTRY = re.compile(
    r"^([a-z0-9.-]+)==([^ ;]+).*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


@pytest.mark.parametrize(
    ("file", "line"),
    [*((LOCK, line) for line in wanted()), *((BUILD_LOCK, line) for line in wanted_by_the_build())],
    ids=str,
)
def test_what_is_wanted_is_locked_in_a_version_that_fits(file: Path, line: str) -> None:
    locked = {name: version for name, version, _ in ENTRY.findall(file.read_text(encoding="utf-8"))}

    requirement = Requirement(line)

    assert requirement.name in locked, COMMAND
    assert requirement.specifier.contains(locked[requirement.name]), COMMAND


@pytest.mark.parametrize("file", [LOCK, BUILD_LOCK], ids=lambda file: file.name)
def test_nothing_is_locked_without_a_hash(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert len(ENTRY.findall(text)) == len(re.findall(r"^\w", text, flags=re.MULTILINE))
