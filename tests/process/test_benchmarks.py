import asyncio
import re
import sys

# About 10 s where it has the machine to itself.
PATIENCE_SECONDS = 500


async def test_the_short_benchmark_ends_well_and_compares_all_three_queries() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks", "--short"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async with asyncio.timeout(PATIENCE_SECONDS):
        printed = (await process.communicate())[0].decode()

    assert process.returncode == 0, printed
    compared = re.findall(r"^\| (Q\d \w+) \| \d+\.\d x \|", printed, re.MULTILINE)
    assert compared == ["Q1 uncached", "Q2 uncached", "Q3 uncached", "Q1 hot", "Q2 hot", "Q3 hot"]
