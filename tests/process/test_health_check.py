"""The image's own health check, run against the real command."""

import asyncio
import socket
import sys

from tests.deploy.dockerfile import health_command
from tests.process.serving import Server


async def run_health_command(**environment: str) -> int:
    program, *arguments = health_command()
    assert program == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def test_the_health_check_passes_for_a_server_that_lives(lonely_server: Server) -> None:
    status = await run_health_command(GALLERY_GATEWAY_PORT=str(lonely_server.port))

    assert status == 0


async def test_the_health_check_goes_past_proxies(lonely_server: Server) -> None:
    status = await run_health_command(
        GALLERY_GATEWAY_PORT=str(lonely_server.port), http_proxy="http://127.0.0.1:9"
    )

    assert status == 0


async def test_the_health_check_fails_where_nothing_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status = await run_health_command(GALLERY_GATEWAY_PORT=str(unused.getsockname()[1]))

    assert status == 1
