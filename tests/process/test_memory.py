"""A budget of bytes, the cache's or the documents', is what they weigh in the process."""

import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "shape",
    [
        ("--projects", "2", "--images", "4"),
        ("--projects", "20", "--images", "0"),
        ("--projects", "100", "--images", "0"),
    ],
    ids=" ".join,
)
def test_the_process_grows_by_no_more_than_the_budget_and_a_third(shape: tuple[str, ...]) -> None:
    """The short form of 100,000 requests by 10,000 callers."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--requests", "8000", *shape]

    told = subprocess.run(  # noqa: S603  # our own words
        [*command, "--budget-mebibytes", "32"], check=True, capture_output=True, text=True
    ).stdout

    found = re.search(r"\(([\d.]+)\)", told)
    assert found is not None
    assert 0.5 < float(found[1]) < 1.3


def test_documents_take_no_more_than_their_budget_and_a_third() -> None:
    """The short form of 10,000 documents, of the shape that takes the most."""
    command = [sys.executable, "-m", "tests.benchmarks.documents", "--shape", "list", "--count", "500"]

    told = subprocess.run(  # noqa: S603  # our own words
        [*command, "--budget-mebibytes", "8"], check=True, capture_output=True, text=True
    ).stdout

    found = re.search(r"\(([\d.]+)\)", told)
    assert found is not None
    assert 0.5 < float(found[1]) < 1.33
