"""HTTP proxies that open tunnels: a real tinyproxy, and one that answers as a test says."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.telemetry.scraping import free_port

PROGRAM = shutil.which("tinyproxy", path="/usr/bin:/usr/sbin:/usr/local/bin")
needs_tinyproxy = pytest.mark.skipif(PROGRAM is None, reason="tinyproxy is not installed")

USER, PASSWORD = "made-up-user", "made-up-password"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CONFIGURATION = """
Port {port}
Listen 127.0.0.1
Timeout 30
MaxClients 20
LogFile "{folder}/tinyproxy.log"
LogLevel Connect
BasicAuth {user} {password}
"""


@asynccontextmanager
async def tinyproxy(folder: Path, *lines: str) -> AsyncIterator[int]:
    """Run tinyproxy, which wants credentials, until the block ends; give its port."""
    assert PROGRAM
    port = free_port()
    configuration = folder / "tinyproxy.conf"
    text = _CONFIGURATION.format(port=port, folder=folder, user=USER, password=PASSWORD)
    configuration.write_text("\n".join([text, *lines, ""]))
    process = await asyncio.create_subprocess_exec(PROGRAM, "-d", "-c", str(configuration))
    try:
        async with asyncio.timeout(20):
            while True:
                assert process.returncode is None
                with suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.01)
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class FakeProxy:
    """Answers CONNECT with `answer`, and then passes bytes on in both directions.

    `heads` are the requests, `hung_up` is set when a client has gone.
    """

    def __init__(self, answer: bytes, *, closes: bool) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.to_clients: list[asyncio.StreamWriter] = []
        self._answer = answer
        self._closes = closes
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.to_clients.append(writer)
            writer.write(self._answer)
            await writer.drain()
            self.asked.set()
            if self._closes:
                return
            if not self._answer.startswith(b"HTTP/1.1 200") or not self._answer.endswith(b"\r\n\r\n"):
                await reader.read()
                return
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            above, to_above = await asyncio.open_connection(host, int(port))
            try:
                await asyncio.gather(_pass_on(reader, to_above), _pass_on(above, writer))
            finally:
                to_above.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.hung_up.set()
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65_536):
        writer.write(part)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxying(answer: bytes = ESTABLISHED, *, closes: bool = False) -> AsyncIterator[FakeProxy]:
    proxy = FakeProxy(answer, closes=closes)
    listener = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.aclose()
