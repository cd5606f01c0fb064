"""The load generator, a process of its own: `python -m tests.benchmarks.load`, which reads what to send.

Over N keep-alive connections each sends its next request when its last one is answered. A phase begins and
ends with no request under way, so the CPU seconds read around it are those of exactly the requests counted.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from tests.benchmarks.queries import Varying, requests

# linux/posix-timers.h.
_CPUCLOCK_SCHED = 2
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send.

    Args:
        query, varying: see `tests.benchmarks.queries.requests`.
        token: what the tokens of the callers begin with; another one in each round.
        body_bytes: how long the responses to a query have to be, or as long as the first one: a server that
            answers errors is fast.
        first: see `requests`.
        warm_up_requests, requests: sent at least, if this takes longer than the seconds.
        server_id: the process whose CPU seconds are read.
    """

    port: int
    query: str
    varying: Varying
    token: str
    body_bytes: dict[str, int]
    connections: int
    first: int = 0
    requests: int = 1
    warm_up_requests: int = 0
    warm_up_seconds: float
    seconds: float
    server_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The figures of one round; a share is CPU seconds by seconds."""

    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    cpu_seconds: float
    server_share: float
    load_share: float


class Phase:
    """Requests until a time and a number of them have passed; `latencies` in seconds."""

    def __init__(
        self, sent: Iterator[tuple[str, bytes]], load: Load, *, seconds: float, at_least: int
    ) -> None:
        self.latencies: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.body_bytes = load.body_bytes
        self._sent = sent
        self._at_least = at_least
        self._deadline = time.perf_counter() + seconds
        self._busy = load.connections

    def next(self, now: float) -> tuple[str, bytes] | None:
        if now < self._deadline or len(self.latencies) < self._at_least:
            return next(self._sent)
        self._busy -= 1
        if not self._busy and not self.ended.done():
            self.ended.set_result(None)
        return None

    def fail(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(reason))


class Client(asyncio.Protocol):
    """A connection that begins at once, and parses only the status and the length of a response."""

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._head = b""
        self._query = ""
        self._missing = 0
        self._began = 0.0
        self._is_waiting = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's class has the methods of asyncio's, but is not a subclass.
        self._transport = cast("asyncio.Transport", transport)
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

    def _send(self, now: float) -> None:
        following = self._phase.next(now)
        self._is_waiting = following is not None
        if following is None:
            self._transport.close()
            return
        self._query, request = following
        self._began = now
        self._transport.write(request)

    def _read_head(self, data: bytes) -> bool:
        self._head += data
        end = self._head.find(_END_OF_HEAD)
        if end < 0:
            return False
        head = self._head[:end].lower()
        start = head.find(_LENGTH) + len(_LENGTH)
        length = int(head[start : (head.find(b"\r\n", start) + 1 or end + 1) - 1])
        expected = self._phase.body_bytes.setdefault(self._query, length)
        if head[9:12] != b"200" or length != expected:
            reason = f"{self._query}: {length} bytes, not {expected}: {self._head[:2000]!r}"
            self._phase.fail(reason)
        self._missing = length + end + len(_END_OF_HEAD) - len(self._head)
        self._head = b""
        return True


async def run_round(load: Load) -> Outcome:
    sent = requests(load.query, load.varying, load.token, first=load.first)
    warm_up = Phase(sent, load, seconds=load.warm_up_seconds, at_least=load.warm_up_requests)
    await _run_phase(load, warm_up)
    phase = Phase(sent, load, seconds=load.seconds, at_least=load.requests)
    started, server, own = time.perf_counter(), cpu_seconds(load.server_id), time.process_time()
    await _run_phase(load, phase)
    seconds = time.perf_counter() - started
    server, own = cpu_seconds(load.server_id) - server, time.process_time() - own
    latencies = sorted(phase.latencies)
    return Outcome(
        requests_per_second=len(latencies) / seconds,
        p50_seconds=latencies[len(latencies) // 2],
        p99_seconds=latencies[len(latencies) * 99 // 100],
        cpu_seconds=server / len(latencies),
        server_share=server / seconds,
        load_share=own / seconds,
    )


async def _run_phase(load: Load, phase: Phase) -> None:
    # New connections for each phase, as a deployment or a restarted proxy opens them: all at once.
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.connections):
            tasks.create_task(loop.create_connection(lambda: Client(phase), "127.0.0.1", load.port))
        await phase.ended


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of all threads of another process, in user and kernel mode.

    The sum of `utime` and `stime` in /proc/PID/stat, which count in steps of 10 ms, to the nanosecond.
    """
    # clock_getcpuclockid(3), which Python has for threads only: the complement of the id, and the kind.
    return time.clock_gettime((~process_id << 3) | _CPUCLOCK_SCHED)


async def _run() -> None:
    loads = [Load(**load) for load in json.load(sys.stdin)]
    print(json.dumps([asdict(await run_round(load)) for load in loads]))


if __name__ == "__main__":
    uvloop.run(_run())
