import os
from collections.abc import AsyncIterator
from typing import Any

import hypothesis
import pytest

from tests import canary
from tests.fakes import Client, FakeUpstream, gateway

# Short and CI's forms are the same each time; `--hypothesis-profile=long` looks further.
hypothesis.settings.register_profile("short", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("long", deadline=None, max_examples=3000)
hypothesis.settings.load_profile("short")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(canary)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for another process, or for a time to pass."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--differential-cases", type=int, default=500, help="plain against compiled")
    parser.addoption("--isolation-steps", type=int, default=10_000, help="length of the isolation walk")
    parser.addoption("--isolation-seed", type=int, default=7, help="which walk is taken")
    parser.addoption("--reuse-calls", type=int, default=1_000, help="calls of a server that closes at random")
    parser.addoption("--wire-cases", type=int, default=3_000, help="byte streams read by the edge and by h11")
    parser.addoption("--wire-seed", type=int, default=14, help="which byte streams")
    parser.addoption("--response-cases", type=int, default=5_000, help="streams that the API may send")
    parser.addoption("--response-seed", type=int, default=7, help="which streams they are")
    parser.addoption("--overload-seconds", type=float, default=2.0, help="length of the overload")
    parser.addoption("--screenshots", metavar="FOLDER", help="write pictures of the pages to a folder")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, where everything is installed, a skipped test is a failed run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream) as client:
        yield client


@pytest.fixture
def ask(client: Client) -> Any:
    return client.ask
