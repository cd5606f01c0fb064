"""Several processes behind one address: one that dies is replaced, and costs the others nothing."""

import asyncio
import json
import os
import re
import signal
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest

from tests.process.serving import PATIENCE_SECONDS, Connection, Server, SlowUpstream, operation, serve

_STARTED = re.compile(r"Started server process \[(\d+)\]")


@pytest.fixture
async def workers(endpoint: tuple[SlowUpstream, str]) -> AsyncIterator[Server]:
    async with serve(endpoint[1], workers=2, shutdown_grace_seconds=10) as server:
        await started(server, 2)
        yield server


async def started(server: Server, count: int) -> list[int]:
    """The process ids of workers, once there have been so many."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            pids = [int(found[1]) for line in server.lines if (found := _STARTED.search(line))]
            if len(pids) >= count:
                return pids
            await asyncio.sleep(0.05)


async def connections_by_worker(server: Server) -> dict[str, list[Connection]]:
    """Three to each of both; a worker is known by the beginning of its request ids."""
    connected: dict[str, list[Connection]] = defaultdict(list)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(connected) < 2 or min(map(len, connected.values())) < 3:
            connection = await server.connect()
            await connection.send(operation("{ __typename }"))
            head, _ = await connection.response()
            worker = re.search(r"x-request-id: (\w+)-", head)
            assert worker
            # The kernel chooses the worker, and may choose the same one dozens of times.
            if len(connected[worker[1]]) < 3:
                connected[worker[1]].append(connection)
            else:
                await connection.hang_up()
    return connected


async def send_operations(connected: dict[str, list[Connection]], slow: SlowUpstream) -> None:
    everybody = [connection for own in connected.values() for connection in own]
    for page, connection in enumerate(everybody, start=1):
        await connection.send(operation(f"{{ gallery(page: {page}) {{ pagination {{ total }} }} }}"))
    await slow.arrived(len(everybody))


async def total(connection: Connection) -> int | None:
    """None if the connection was lost."""
    try:
        status, body = await connection.answer()
    except (asyncio.IncompleteReadError, ConnectionError):
        await connection.hang_up()
        return None
    assert status == 200
    answered: int = json.loads(body)["data"]["gallery"]["pagination"]["total"]
    return answered


async def test_a_worker_that_dies_is_replaced_and_an_end_after_it_costs_the_others_nothing(
    workers: Server, slow: SlowUpstream
) -> None:
    connected = await connections_by_worker(workers)
    await send_operations(connected, slow)
    [first, _] = await started(workers, 2)

    os.kill(first, signal.SIGKILL)
    await started(workers, 3)
    ready, _ = await workers.get("/readyz")
    workers.process.send_signal(signal.SIGTERM)
    await workers.printed("Waiting for connections to close")
    slow.release()
    answers = [{await total(connection) for connection in own} for own in connected.values()]

    assert ready == 200
    assert sorted(answers, key=str) == [{1}, {None}]
    assert await workers.ended() == 0
