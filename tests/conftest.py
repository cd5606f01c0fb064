import os
import socketserver
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import canary
from tests.fakes import Client, FakeUpstream, gateway

# The short and CI profiles are deterministic; `--hypothesis-profile=long` searches further.
hypothesis.settings.register_profile("short", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("long", deadline=None, max_examples=3000)
hypothesis.settings.load_profile("short")

# A server of the standard library, such as that of the metrics, looks every half second whether it shall end.
socketserver.BaseServer.serve_forever.__defaults__ = (0.02,)

_TESTS = Path(__file__).parent
_FAST = "not slow"

# Folders and files whose tests are marked `slow`, and the seconds after which one of their tests fails.
SLOW_TESTS = {
    "attacks": 60,
    "browser": 120,
    # npm installs the packages first.
    "clients": 600,
    "demo/test_images.py": 60,
    "deploy": 120,
    "edge/audits": 600,
    "edge/test_graphiql_bundle.py": 600,
    "edge/replays": 120,
    "edge/subscriptions": 120,
    "edge/test_body_fuzzing.py": 60,
    "edge/test_document_limits.py": 60,
    "edge/wire": 300,
    "end_to_end/test_interleavings.py": 300,
    "end_to_end/test_isolation.py": 300,
    "end_to_end/test_thrift.py": 120,
    "execution/test_differential.py": 600,
    "execution/test_documents.py": 60,
    "faults": 180,
    "faults/test_lists.py": 600,
    "federation": 600,
    "process": 120,
    # A benchmark with several processes.
    "process/test_benchmarks.py": 600,
    "release": 120,
    "scaling": 180,
    "shared": 60,
    "telemetry/test_exposition.py": 60,
    "telemetry/test_prometheus.py": 120,
    "telemetry/test_telemetry.py": 60,
    "telemetry/test_traces.py": 60,
    "test_canary.py": 120,
    "test_cli.py": 120,
    "upstream/test_breaker_fairness.py": 60,
    "upstream/test_error_table.py": 120,
    "upstream/test_pool.py": 120,
    "upstream/test_response_bytes.py": 300,
    "upstream/test_transport_errors.py": 120,
    "verify/test_changes.py": 60,
    "verify/test_worlds.py": 60,
    "verify/test_command.py": 60,
    "verify/test_leaks.py": 60,
}


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(canary)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return 0, which runs without workers, for the tests of one file; else the number of workers.

    Starting workers takes longer than most files. Slow tests wait for other processes, so there is one worker
    more than cores for them.
    """
    files = {argument.partition("::")[0] for argument in config.args}
    if len(files) == 1 and files.pop().endswith(".py"):
        return 0
    cores = os.cpu_count() or 1
    return cores if config.option.markexpr == _FAST else cores + 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import slow tests that `-m "not slow"` leaves out."""
    is_left_out = config.option.markexpr == _FAST and any(
        collection_path == _TESTS / name for name in SLOW_TESTS
    )
    return True if is_left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(_TESTS).as_posix() if item.path.is_relative_to(_TESTS) else ""
        found = [name for name in SLOW_TESTS if path == name or path.startswith(f"{name}/")]
        if found:
            item.add_marker("slow")
            # The entry of a file overrides that of its folder, and a test's own marker overrides both.
            item.add_marker(pytest.mark.timeout(SLOW_TESTS[max(found, key=len)]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--differential-cases", type=int, default=300, help="operations of the comparison")
    parser.addoption("--isolation-steps", type=int, default=10_000, help="steps of the isolation test")
    parser.addoption("--isolation-seed", type=int, default=7, help="seed of the isolation test")
    parser.addoption("--reuse-calls", type=int, default=1_000, help="calls of a server that closes at random")
    parser.addoption("--wire-cases", type=int, default=3_000, help="byte streams of clients")
    parser.addoption("--wire-seed", type=int, default=14, help="seed of those streams")
    parser.addoption("--response-cases", type=int, default=3_000, help="byte streams of the REST API")
    parser.addoption("--response-seed", type=int, default=7, help="seed of those streams")
    parser.addoption("--walks", type=int, default=100, help="walks along lists that change")
    parser.addoption("--overload-seconds", type=float, default=2.0, help="seconds of overload")
    parser.addoption("--screenshots", metavar="FOLDER", help="write screenshots of the pages to a folder")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that skipped a test, because everything is installed there."""
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
