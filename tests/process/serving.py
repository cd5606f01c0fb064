"""The real command in a process of its own, a slow endpoint on a real port, and clients on bare sockets."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from tests.canary import look_at
from tests.fakes import TOKEN, page_body

TOTAL = "{ gallery { pagination { total } } }"

PROGRAM = (sys.executable, "-m", "gallery_gateway")

# What an announcement, an answer or an end may take on a busy machine before the test fails.
PATIENCE_SECONDS = 40


class Server:
    """A command under way, and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._printed = asyncio.Condition()
        self.host, self.port = "127.0.0.1", 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def read(self) -> None:
        """Reads to the end, so that the process never waits for a reader."""
        assert self.process.stdout
        async for line in self.process.stdout:
            look_at("lines of servers", line)
            async with self._printed:
                self.lines.append(line.decode())
                self._printed.notify_all()
        async with self._printed:
            self.lines.append("(the end)")
            self._printed.notify_all()

    async def printed(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """Waits for so many lines with `pattern`, and gives the first match."""
        found: list[re.Match[str]] = []

        def is_printed() -> bool:
            found[:] = [match for line in self.lines if (match := re.search(pattern, line))]
            return len(found) >= times or self.lines[-1:] == ["(the end)"]

        async with asyncio.timeout(PATIENCE_SECONDS), self._printed:
            await self._printed.wait_for(is_printed)
        assert len(found) >= times, "".join(self.lines)
        return found[0]

    async def outcomes(self) -> list[str]:
        """What its lines say of operations, one for each, once it has ended."""
        await self.printed(r"^\(the end\)$")
        lines = [json.loads(line) for line in self.lines if '"operation.served"' in line]
        return [line["outcome"] for line in lines]

    async def ended(self, *, within_seconds: float = PATIENCE_SECONDS) -> int:
        """Waits for the end, and gives the exit status."""
        async with asyncio.timeout(within_seconds):
            return await self.process.wait()

    async def connect(self) -> "Connection":
        return Connection(*await asyncio.open_connection(self.host, self.port))

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body, over a connection of its own."""
        connection = await self.connect()
        await connection.send(f"GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n".encode())
        return await connection.answer()


class Connection:
    """One client on one socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, text: bytes) -> None:
        self._writer.write(text)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and whole body of one response; then hangs up."""
        head, body = await self.response()
        await self.hang_up()
        return int(head.split()[1]), body

    async def response(self) -> tuple[str, bytes]:
        """Head, in lower case, and whole body of one response."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            assert length
            return head, await self._reader.readexactly(int(length[1]))

    async def until(self, text: bytes) -> bytes:
        """All that comes, up to the end of `text`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reader.readuntil(text)

    async def rest(self) -> bytes:
        """All that comes until the other side hangs up; then hangs up too."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = await self._reader.read()
        await self.hang_up()
        return text

    async def head(self) -> tuple[str, bytes]:
        """The head of a response without body, in lower case."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self._reader.readuntil(b"\r\n\r\n")).decode().lower(), b""

    async def is_over(self) -> bool:
        """Waits for the other side's end; False if something else comes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True

    async def hang_up(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def operation(
    document: str = TOTAL, *, token: str = TOKEN, version: str = "1.1", accept: str = "application/json"
) -> bytes:
    """A whole HTTP request."""
    body = json.dumps({"query": document})
    head = [
        f"POST /graphql HTTP/{version}",
        "host: gateway",
        f"accept: {accept}",
        "content-type: application/json",
        f"authorization: Bearer {token}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*head, "", body]).encode()


@asynccontextmanager
async def started(
    *arguments: str, announced: str, program: Sequence[str] = PROGRAM, **settings: float | str
) -> AsyncIterator[Server]:
    """Runs `gallery-gateway` with `arguments` until the block ends.

    Args:
        announced: a pattern of the line that tells host and port, as its two groups.
        program: what the arguments are given to.
        settings: by their Python names.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GALLERY_GATEWAY_")
    }
    environment |= {f"GALLERY_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        *(*program, *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    server = Server(process)
    reading = asyncio.create_task(server.read())
    try:
        address = await server.printed(announced)
        server.host, server.port = address[1], int(address[2])
        yield server
    finally:
        # Its workers too, which outlive a parent that is killed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await reading


def serve(upstream_url: str, **settings: float | str) -> AbstractAsyncContextManager[Server]:
    """`gallery-gateway serve` on a free port."""
    announced = r"running on http://([\d.]+):(\d+)"
    settings["upstream_url"] = upstream_url
    return started("serve", "--port", "0", announced=announced, program=PROGRAM, **settings)


def demo(*, port: int = 0) -> AbstractAsyncContextManager[Server]:
    """`gallery-gateway demo`, on a free port if none is given."""
    return started("demo", "--port", str(port), announced=r"The gateway: http://([\d.]+):(\d+)/graphql")


class SlowUpstream:
    """An endpoint that counts its requests, and holds every answer until it is released.

    `status` and `page` are what it answers.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.status = 200
        self.page: Callable[[], dict[str, Any]] = page_body
        self._arrived = asyncio.Condition()
        self._released = asyncio.Event()

    async def arrived(self, count: int) -> None:
        """Waits for the request number `count`."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)

    def release(self) -> None:
        self._released.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                async with self._arrived:
                    self.requests.append(head.decode())
                    self._arrived.notify_all()
                await self._released.wait()
                body = json.dumps(self.page()).encode()
                head = b"HTTP/1.1 %d Whatever\r\ncontent-length: %d\r\n\r\n" % (self.status, len(body))
                writer.write(head + body)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def slow_upstream() -> AsyncIterator[tuple[SlowUpstream, str]]:
    """The endpoint on a free port, and its base URL."""
    upstream = SlowUpstream()
    listener = await asyncio.start_server(upstream.answer, "127.0.0.1", 0, backlog=512)
    host, port = listener.sockets[0].getsockname()
    try:
        yield upstream, f"http://{host}:{port}"
    finally:
        upstream.release()
        listener.close()
