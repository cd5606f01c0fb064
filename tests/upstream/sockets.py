"""A real upstream on a loopback port, in raw bytes: it can do everything that a server must not."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

Respond = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers the head of one request, as it came."""


# A server that runs for long must not grow.
_MAX_HEADS = 10_000


class RawServer:
    """Counts connections, and keeps the heads of the last ten thousand requests."""

    def __init__(self, respond: Respond) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.port = 0
        self._respond = respond
        self._handlers: set[asyncio.Task[None]] = set()
        self._open: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}
        self._is_closed = False
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def wait_for_requests(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.heads) >= count)

    async def wait_until_gone(self, writer: asyncio.StreamWriter) -> None:
        """Until the client that is answered by `writer` has hung up."""
        try:
            await self._open[writer].read()
        except ConnectionError:
            return

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_closed:
            writer.close()
            return
        self.connections += 1
        self._open[writer] = reader
        handler = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(lambda handler: self._forget(handler, writer))

    async def aclose(self) -> None:
        self._is_closed = True
        await self.hang_up()

    async def hang_up(self) -> None:
        """Ends every connection that there is."""
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        # Those too whose handler was cancelled before it began.
        for writer in self._open:
            writer.close()
        self._open.clear()

    def _forget(self, handler: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        self._handlers.discard(handler)
        if not handler.cancelled():
            self._open.pop(writer, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                async with self._changed:
                    self.heads.append(head)
                    del self.heads[:-_MAX_HEADS]
                    self._changed.notify_all()
                await self._respond(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client has gone.
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(respond: Respond, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    server = RawServer(respond)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.aclose()
        await listener.wait_closed()


@contextmanager
def serving_in_thread(respond: Respond) -> Iterator[str]:
    """Gives the URL of a server with a loop of its own, which goes on while the test's loop is busy."""
    started, ended = threading.Event(), asyncio.Event()
    found: list[tuple[str, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with serving(respond) as server:
            found.append((server.url, asyncio.get_running_loop()))
            started.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    started.wait()
    url, loop = found[0]
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


def always(raw: bytes, *, then_close: bool = False) -> Respond:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if then_close:
            writer.close()

    return respond


def http_response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body
