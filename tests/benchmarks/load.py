"""The load generator, a process of its own: `python -m tests.benchmarks.load SPECIFICATION`.

Over N keep-alive connections each sends its next request when its last one is answered. A phase begins and
ends with no request under way, so the CPU seconds read around it are those of exactly the requests counted.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

from tests.benchmarks.loop import run
from tests.benchmarks.phases import Client, Phase, Requests
from tests.benchmarks.pinning import cpu_seconds
from tests.benchmarks.queries import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send.

    Args:
        body: of every request.
        body_bytes: how long every answer has to be: a server that answers errors is fast.
        caller: label of the made-up tokens, used in no other round.
        state: "uncached" sends each request as another caller, "hot" all as one.
        server_id, upstream_id: the processes whose CPU seconds are read.
    """

    port: int
    path: str
    body: str
    body_bytes: int
    caller: str
    state: State
    connections: int
    warm_up_seconds: float
    seconds: float
    server_id: int
    upstream_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one round, in seconds of time and of CPU."""

    requests: int
    seconds: float
    p50_seconds: float
    p99_seconds: float
    server_cpu_seconds: float
    upstream_cpu_seconds: float
    load_cpu_seconds: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_seconds_per_request(self) -> float:
        return self.server_cpu_seconds / self.requests


async def run_round(load: Load) -> Outcome:
    requests = Requests(path=load.path, body=load.body, caller=load.caller, state=load.state)
    await _run_phase(load, requests, load.warm_up_seconds)
    return await _run_phase(load, requests, load.seconds)


async def _run_phase(load: Load, requests: Requests, seconds: float) -> Outcome:
    loop = asyncio.get_running_loop()
    # New connections for each phase, because servers close those that wait for the end of the previous one.
    clients = [
        (await loop.create_connection(lambda: Client(load.body_bytes), "127.0.0.1", load.port))[1]
        for _ in range(load.connections)
    ]
    phase = Phase(requests, seconds=seconds, connections=load.connections)
    before = [*_cpu_seconds(load), time.perf_counter()]
    for client in clients:
        client.begin(phase)
    await phase.ended
    after = [*_cpu_seconds(load), time.perf_counter()]
    for client in clients:
        client.hang_up()
    server, upstream, own, passed = (end - start for end, start in zip(after, before, strict=True))
    latencies = sorted(phase.latencies)
    return Outcome(
        requests=len(latencies),
        seconds=passed,
        p50_seconds=latencies[len(latencies) // 2],
        p99_seconds=latencies[len(latencies) * 99 // 100],
        server_cpu_seconds=server,
        upstream_cpu_seconds=upstream,
        load_cpu_seconds=own,
    )


def _cpu_seconds(load: Load) -> tuple[float, float, float]:
    return cpu_seconds(load.server_id), cpu_seconds(load.upstream_id), time.process_time()


if __name__ == "__main__":
    print(json.dumps(asdict(run(run_round(Load(**json.loads(sys.argv[1])))))))
