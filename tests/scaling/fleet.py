"""Gateway processes side by side, each on a port that it keeps over restarts."""

import signal
import socket
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Self

from tests.process.serving import PROGRAM, Server, started


class Fleet:
    """As many processes as there are ports; an async context manager."""

    def __init__(self, ports: list[int], **settings: float | str) -> None:
        self._ports = ports
        self._settings = settings
        self._servers: dict[int, tuple[Server, AsyncExitStack]] = {}

    async def __aenter__(self) -> Self:
        for port in self._ports:
            await self._start(port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _server, stack in self._servers.values():
            await stack.aclose()

    async def restart(self, port: int, by: signal.Signals = signal.SIGTERM) -> int:
        """Ends one as an orchestrator does, and starts another in its place; gives the exit status."""
        server, stack = self._servers[port]
        server.process.send_signal(by)
        status = await server.ended()
        await stack.aclose()
        await self._start(port)
        return status

    async def _start(self, port: int) -> None:
        stack = AsyncExitStack()
        process = started(
            *("serve", "--port", str(port)),
            announced=r"running on http://([\d.]+):(\d+)",
            program=PROGRAM,
            **self._settings,
        )
        self._servers[port] = await stack.enter_async_context(process), stack


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
