"""Where the command listens: addresses of both families, and Unix sockets."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.process.serving import PATIENCE_SECONDS, PROGRAM, Server, started
from tests.process.test_health_check import run_health_command

WORKERS = ["1", "2"]


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("workers", WORKERS)
async def test_all_addresses_of_ipv6_include_those_of_ipv4(workers: str) -> None:
    arguments = ("serve", "--host", "::", "--port", "0", "--workers", workers)

    async with started(*arguments, announced=r"running on http://(\[::\]):(\d+)") as server:
        statuses = [await ready(server, host) for host in ("127.0.0.1", "::1")]
        health = await run_health_command(GALLERY_GATEWAY_PORT=str(server.port))

    assert statuses == [200, 200]
    assert health == 0


async def ready(server: Server, host: str) -> int:
    """Return the status of `/readyz`, once something listens: several workers do once they have started."""
    server.host = host
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(ConnectionRefusedError):
                return (await server.get("/readyz"))[0]
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving_at(path: Path, *, workers: str = "1") -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `serve --uds` until the block ends."""
    arguments = ("serve", "--uds", str(path), "--workers", workers)
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, *arguments), cwd=path.parent, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def ready_at(path: Path) -> int:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=PATIENCE_SECONDS) as http,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        while True:
            with suppress(httpx.ConnectError):
                return (await http.get("/readyz")).status_code
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", WORKERS)
async def test_a_unix_socket_is_served_and_removed(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "socket"

    async with serving_at(path, workers=workers) as process:
        status = await ready_at(path)
        mode = path.stat().st_mode & 0o777
        process.terminate()
        ended = await process.wait()

    assert status == 200
    # The proxy is another user.
    assert mode == 0o666
    assert ended in {0, -signal.SIGTERM}
    assert not path.exists()


async def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async with serving_at(path):
        assert await ready_at(path) == 200


@pytest.mark.parametrize("kind", ["socket", "file"])
async def test_what_others_use_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as living:
        if kind == "socket":
            living.bind(str(path))
            living.listen()
        else:
            path.write_text("made-up")

        async with serving_at(path) as process:
            _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.decode().splitlines()[-1] == (
        f"The gateway cannot listen on {path}: [Errno 98] Address already in use"
    )
    assert path.exists()
