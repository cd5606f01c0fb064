"""The cost of an operation that is new to the gateway, compared with a known one."""

import statistics
import time
from dataclasses import dataclass

from tests.benchmarks.client import Connection
from tests.benchmarks.queries import Query, request, token

_LATER_RUNS = 20


@dataclass(frozen=True, slots=True)
class FirstRun:
    """Median times of one client for a cached page."""

    first_seconds: float
    later_seconds: float


async def measure_first_runs(port: int, query: Query, *, documents: int, with_variables: bool) -> FirstRun:
    """Send new documents, and each of them twice."""
    first, later = [], []
    caller = token(f"first-{query.name}")
    async with Connection(port) as connection:

        async def seconds(operation_name: str) -> float:
            body = query.body(with_variables=with_variables, operation_name=operation_name)
            asked = request("/graphql", body, caller)
            started = time.perf_counter()
            await connection.ask(asked)
            return time.perf_counter() - started

        # Fetches the page.
        await seconds(query.name)
        for number in range(documents):
            first.append(await seconds(f"{query.name}_{number}"))
            later.extend([await seconds(f"{query.name}_{number}") for _ in range(_LATER_RUNS)])
    return FirstRun(statistics.median(first), statistics.median(later))
