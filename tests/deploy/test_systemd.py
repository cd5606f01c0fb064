"""The systemd unit is valid, confined, and agrees with the settings."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gallery_gateway.settings import MEBIBYTE, Settings
from tests.deploy.dockerfile import ROOT

UNIT = ROOT / "deploy" / "systemd" / "gallery-gateway.service"
PROGRAM = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(PROGRAM is None, reason="systemd-analyze is not installed")


def value_of(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return str(value)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROGRAM
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)  # noqa: S603


@needs_systemd
def test_the_unit_is_valid(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    program = f"{sys.executable} -m gallery_gateway serve"
    # A program that exists here.
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(value_of("ExecStart"), program))

    verified = analyze("verify", str(unit))

    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
def test_the_unit_may_do_little() -> None:
    confined = analyze("security", "--offline=yes", "--threshold=20", str(UNIT))

    assert confined.returncode == 0, confined.stdout


def test_operations_under_way_get_their_whole_grace() -> None:
    settings = Settings.model_fields
    grace, delay = settings["shutdown_grace_seconds"].default, settings["shutdown_delay_seconds"].default

    assert int(value_of("TimeoutStopSec")) >= grace + delay + 5


def test_the_cache_and_three_times_as_much_fit_into_the_memory() -> None:
    cache = Settings.model_fields["cache_max_bytes"].default

    assert value_of("MemoryMax") == f"{4 * cache // (1024 * MEBIBYTE)}G"


def test_there_are_enough_files_for_every_connection() -> None:
    connections = Settings.model_fields["upstream_max_connections"].metadata

    assert int(value_of("LimitNOFILE")) > max(bound.le for bound in connections if hasattr(bound, "le"))
