"""Each part of the benchmark runs to its end, at sizes that give no real figures."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests import npm
from tests.benchmarks.growth import AXES
from tests.benchmarks.stages import REST, SOURCE, STAGES

# About 20 s where it has the machine to itself.
PATIENCE_SECONDS = 500

ROOT = Path(__file__).parents[2]


async def printed(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks", *arguments, "--tiny"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        text = (await process.communicate())[0].decode()
    assert process.returncode == 0, text
    return text


async def test_the_comparison_measures_every_mode_with_every_query() -> None:
    report = await printed()

    measured = re.findall(r"^round 1: (\w+ \w+), gateway: ", report, re.MULTILINE)
    modes = ("uncached", "full", "off", "hot", "identical")
    assert measured == [
        *(f"{mode} {query}" for mode in modes for query in ("Q1", "Q2", "Q3")),
        *("mix mix", "wide Q1"),
    ]
    assert re.findall(r"^\| (\w+ Q\d), to plain Strawberry \|", report, re.MULTILINE) == [
        *("uncached Q1", "uncached Q2", "uncached Q3")
    ]


async def test_the_comparison_runs_against_another_checkout() -> None:
    report = await printed("--against", str(ROOT), "--modes", "hot", "--queries", "Q1")

    assert re.findall(r"^\| (hot Q1) \| [\d.]+x \([\d.]+x\) \|$", report, re.MULTILINE) == ["hot Q1"]


async def test_the_growth_measures_each_axis_and_plots_it(tmp_path: Path) -> None:
    report = await printed("growth", "--out", str(tmp_path))

    assert len(re.findall(r"^\| \d+ \| 1.00x \| 1.00x \|$", report, re.MULTILINE)) == len(AXES)
    assert (tmp_path / "growth.svg").read_text(encoding="utf-8").count("<polyline") == 2 * len(AXES)


async def test_the_comparison_runs_with_peers_on_node() -> None:
    npm.install(ROOT / "tests" / "benchmarks" / "node")

    report = await printed("--node", "--modes", "uncached,hot", "--queries", "Q1")

    row = r"^\| hot Q1 \| [\d.]+x \([\d.]+x\) \| [\d.]+x \([\d.]+x\) \|"
    assert re.findall(row, report, re.MULTILINE)


async def test_the_stages_are_those_of_the_architecture_page() -> None:
    table = await printed("stages")

    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    measured = re.findall(r"^\| (\w[\w ,]*) \|(?: \d+ \|){3}$", table, re.MULTILINE)
    assert measured == [*STAGES, REST]
    assert re.findall(r"^\| (\w[\w ,]*) \|(?: \d+ \|){3}$", page, re.MULTILINE) == measured


@pytest.mark.parametrize("part", [part for parts in STAGES.values() for part in parts])
def test_each_part_of_a_stage_is_in_the_code(part: str) -> None:
    file, _, function = part.partition(" ")

    if file.endswith("/"):
        assert (SOURCE / file).is_dir()
        return
    source = (SOURCE / file).read_text(encoding="utf-8")
    names = filter(None, function.split("."))
    assert all(re.search(rf"^ *(async )?(def|class) {name}\b", source, re.MULTILINE) for name in names)


async def test_the_largest_response_is_measured_alone_and_four_at_once() -> None:
    table = await printed("large")

    row = r"^\| (\d) at once \| [\d.]+ \| \d+ ms \| [\d.]+x \|$"
    assert re.findall(row, table, re.MULTILINE) == ["1", "4"]


async def test_streams_are_measured_with_pending_images_and_without() -> None:
    table = await printed("streams")

    row = r"^\| images (\w+) \| [\d.]+ \| [\d.]+% \| [\d.]+ s \|$"
    assert re.findall(row, table, re.MULTILINE) == ["pending", "done"]
