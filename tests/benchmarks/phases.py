"""The parts of the load generator: the next request, the end of a phase, and the connections."""

import asyncio
import time
from typing import cast

from tests.benchmarks.queries import State, request, token

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Requests:
    """Yield the bytes of requests; `caller` labels the made-up tokens."""

    def __init__(self, *, path: str, body: str, caller: str, state: State) -> None:
        self._label = caller
        self._is_one_caller = state == "hot"
        self._whole = request(path, body, token(self._label))
        self._head, self._tail = self._whole.split(token(self._label).encode("ascii"))
        self._count = 0

    def next(self) -> bytes:
        if self._is_one_caller:
            return self._whole
        self._count += 1
        return b"".join((self._head, token(self._label, self._count).encode("ascii"), self._tail))


class Phase:
    """The requests that started before the deadline, at least one; `latencies` in seconds."""

    def __init__(self, requests: Requests, *, seconds: float, connections: int) -> None:
        self.latencies: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._deadline = time.perf_counter() + seconds
        self._busy = connections

    def next(self, now: float) -> bytes | None:
        # On a busy machine, a short phase may end before the first response.
        if now < self._deadline or not self.latencies:
            return self._requests.next()
        self._busy -= 1
        if not self._busy and not self.ended.done():
            self.ended.set_result(None)
        return None

    def fail(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(reason))


class Client(asyncio.Protocol):
    """A connection that parses only the status and the length of a response."""

    def __init__(self, body_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._head = b""
        self._missing = 0
        self._began = 0.0
        self._is_waiting = False
        self._phase: Phase
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's class has the methods of asyncio's, but is not a subclass.
        self._transport = cast("asyncio.Transport", transport)

    def begin(self, phase: Phase) -> None:
        self._phase = phase
        self._send(time.perf_counter())

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        elif not self._read_head(data):
            return
        if not self._missing:
            now = time.perf_counter()
            self._phase.latencies.append(now - self._began)
            self._send(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_waiting:
            self._phase.fail(f"a connection was lost: {exc}")

    def hang_up(self) -> None:
        self._transport.close()

    def _send(self, now: float) -> None:
        following = self._phase.next(now)
        self._is_waiting = following is not None
        if following is not None:
            self._began = now
            self._transport.write(following)

    def _read_head(self, data: bytes) -> bool:
        self._head += data
        end = self._head.find(_END_OF_HEAD)
        if end < 0:
            return False
        head = self._head[:end].lower()
        start = head.find(_LENGTH) + len(_LENGTH)
        length = int(head[start : (head.find(b"\r\n", start) + 1 or end + 1) - 1])
        if head[9:12] != b"200" or length != self._body_bytes:
            self._phase.fail(f"an answer of {length} bytes, not {self._body_bytes}: {self._head[:500]!r}")
        self._missing = length + end + len(_END_OF_HEAD) - len(self._head)
        self._head = b""
        return True
