"""Starts the servers, each a process of its own on 127.0.0.1, and the load generator."""

import asyncio
import json
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.client import Connection
from tests.benchmarks.load import Load, Outcome
from tests.benchmarks.pinning import Cores

# The time for a start or a round on a busy machine, beyond its own seconds.
PATIENCE_SECONDS = 60

_ROOT = Path(__file__).parents[2]
_GATEWAY_SETTINGS = "GALLERY_GATEWAY_"
_READY = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class BenchmarkError(Exception):
    """The benchmark cannot continue, or its figures are meaningless."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Args:
        start_seconds: from the start of the process to its first answer at `/readyz`.
    """

    process_id: int
    port: int
    start_seconds: float


class Stage:
    """The servers and files of a benchmark.

    Args:
        folder: empty, for what servers are given; the gateway runs in it and finds no `.env`.
    """

    def __init__(self, folder: Path) -> None:
        self.cores = Cores()
        self.folder = folder

    @asynccontextmanager
    async def upstream(self) -> AsyncIterator[Server]:
        async with self._server("tests.benchmarks.upstream", cores=self.cores.others) as server:
            yield server

    @asynccontextmanager
    async def gateway(self, upstream: Server) -> AsyncIterator[Server]:
        """Start the gateway with its defaults except for upstream and log level."""
        settings = {"UPSTREAM_URL": _url(upstream), "LOG_LEVEL": "warning"}
        environment = {f"{_GATEWAY_SETTINGS}{name}": value for name, value in settings.items()}
        async with self._server(
            "gallery_gateway", "serve", cores=self.cores.server, environment=environment, cwd=self.folder
        ) as server:
            yield server

    @asynccontextmanager
    async def plain(self, upstream: Server, *, hot: bool) -> AsyncIterator[Server]:
        arguments = ["--upstream-url", _url(upstream), *(["--hot"] if hot else [])]
        async with self._server("tests.benchmarks.plain", *arguments, cores=self.cores.server) as server:
            yield server

    @asynccontextmanager
    async def floor(self, answers: dict[str, bytes], content_type: str) -> AsyncIterator[Server]:
        """Return responses by the names of their queries."""
        folder = self.folder / "answers"
        folder.mkdir()
        for name, answer in answers.items():
            (folder / name).write_bytes(answer)
        arguments = ["--answers", str(folder), "--content-type", content_type]
        async with self._server("tests.benchmarks.floor", *arguments, cores=self.cores.server) as server:
            yield server

    async def load(self, load: Load) -> Outcome:
        """Raises: BenchmarkError: a response is not as expected."""
        generator = await self._start(
            "tests.benchmarks.load", json.dumps(asdict(load)), cores=self.cores.others
        )
        try:
            async with asyncio.timeout(load.warm_up_seconds + load.seconds + PATIENCE_SECONDS):
                printed, errors = await generator.communicate()
        finally:
            await _stop(generator)
        if generator.returncode:
            raise BenchmarkError(f"{load.path} at {load.port}: {errors.decode()}")
        return Outcome(**json.loads(printed))

    @asynccontextmanager
    async def _server(
        self,
        module: str,
        *arguments: str,
        cores: set[int],
        environment: dict[str, str] | None = None,
        cwd: Path = _ROOT,
    ) -> AsyncIterator[Server]:
        port = _free_port()
        started = time.perf_counter()
        process = await self._start(
            module, *arguments, "--port", str(port), cores=cores, environment=environment, cwd=cwd
        )
        try:
            await _answers(process, port)
            yield Server(process.pid, port, time.perf_counter() - started)
        finally:
            await _stop(process)

    async def _start(
        self,
        module: str,
        *arguments: str,
        cores: set[int],
        environment: dict[str, str] | None = None,
        cwd: Path = _ROOT,
    ) -> Process:
        is_server = module != "tests.benchmarks.load"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            cwd=cwd,
            env={**_inherited(), **(environment or {})},
            stdin=DEVNULL,
            stdout=DEVNULL if is_server else PIPE,
            # The errors of a server are for the person who runs the benchmark.
            stderr=None if is_server else PIPE,
        )
        self.cores.pin(process.pid, cores)
        return process


async def _answers(process: Process, port: int) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while process.returncode is None and time.perf_counter() < deadline:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async with Connection(port) as connection:
                if (await connection.ask(_READY)).status == 200:
                    return
        # A server does not announce that it listens.
        await asyncio.sleep(0.005)
    raise BenchmarkError(f"a server did not answer (exit status {process.returncode})")


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def _inherited() -> dict[str, str]:
    """Return the environment without settings and without proxies, which the baseline would use."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_GATEWAY_SETTINGS) and not name.lower().endswith("_proxy")
    }


def _url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
