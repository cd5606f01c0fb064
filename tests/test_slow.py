"""The slow tests are found by their paths, and a run of one file starts no workers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import SLOW_TESTS, pytest_xdist_auto_num_workers


def test_every_path_of_a_slow_test_exists() -> None:
    tests = Path(__file__).parent

    assert [name for name in SLOW_TESTS if not (tests / name).exists()] == []


@pytest.mark.parametrize(
    ("arguments", "has_workers"),
    [
        (["tests"], True),
        (["tests/gallery"], True),
        (["tests/gallery/test_slicing.py", "tests/gallery/test_cache.py"], True),
        (["tests/gallery/test_slicing.py"], False),
        (["tests/gallery/test_slicing.py::test_one", "tests/gallery/test_slicing.py::test_two[a]"], False),
    ],
)
def test_only_the_tests_of_one_file_run_without_workers(arguments: list[str], has_workers: bool) -> None:
    config: Any = SimpleNamespace(args=arguments, option=SimpleNamespace(markexpr=""))

    assert bool(pytest_xdist_auto_num_workers(config)) == has_workers
