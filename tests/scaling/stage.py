"""One Redis, one REST API, a load balancer, and any number of gateways."""

import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.scaling.fleet import Fleet, free_ports
from tests.scaling.load import Answers, Load, Tally, answers_of_one_process
from tests.scaling.proxy import Proxy, configuration, haproxy, in_turn, nginx
from tests.scaling.rest_api import CountedAPI, counted_api
from tests.shared.servers import RedisServer, redis_server
from tests.shared.stores import patient

SECRET = "a-made-up-secret-of-32-characters"

# Longer than anything here lasts; and Redis is waited for, however busy the machine is.
_FRESH = {
    "cache_ttl_seconds": 600,
    "cache_unfinished_ttl_seconds": 600,
}
# So short that there are upstream calls all the time.
_SHORT_LIVED = {
    "cache_ttl_seconds": 0.2,
    "cache_unfinished_ttl_seconds": 0.2,
}


Sharing = Literal["nothing", "nginx", "HAProxy", "Redis"]
"""What makes the processes share pages: a load balancer that hashes, or Redis behind one that does not."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The upstream calls of some operations."""

    processes: int
    sharing: Sharing
    stats: Tally
    calls: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the operations during a trial.

    Args:
        passed_on: of them, those for which nginx asked more than one process.
        statuses: with which the processes ended that were asked to.
    """

    stats: Tally
    passed_on: int
    statuses: tuple[int, ...] = ()


class Stage:
    """Where it all runs."""

    def __init__(self, redis: RedisServer, api: CountedAPI, answers: Answers) -> None:
        self._redis = redis
        self._api = api
        self._answers = answers

    async def cost(self, processes: int, *, sharing: Sharing, clients: int, rounds: int) -> Cost:
        async with self._redis.client() as client:
            await client.flushall()
        async with self._gateways(processes, sharing, **_FRESH) as (_, proxy, _ports):
            before = self._api.calls
            load = Load(proxy.url, self._answers)
            await load.rounds(clients=clients, rounds=rounds)
            return Cost(processes, sharing, load.stats, self._api.calls - before)

    async def rolling_restart(
        self, processes: int, *, sharing: Sharing, clients: int, operations: int
    ) -> Trial:
        """Restart each process in turn, after `operations` more operations each."""
        async with self._gateways(processes, sharing, **_SHORT_LIVED) as (gateways, proxy, ports):
            load, statuses = Load(proxy.url, self._answers), []
            async with load.without_end(clients=clients):
                await load.answered(operations)
                for port in ports:
                    statuses.append(await gateways.restart(port))
                    await load.answered(operations)
            return Trial(load.stats, proxy.passed_on, tuple(statuses))

    async def death(self, processes: int, *, sharing: Sharing, clients: int, operations: int) -> Trial:
        """Kill one process under load, and start it again."""
        async with self._gateways(processes, sharing, **_SHORT_LIVED) as (gateways, proxy, ports):
            load = Load(proxy.url, self._answers)
            async with load.without_end(clients=clients):
                await load.answered(operations)
                status = await gateways.restart(ports[0], by=signal.SIGKILL)
                await load.answered(operations)
            return Trial(load.stats, proxy.passed_on, (status,))

    async def redis_outage(self, processes: int, *, clients: int, operations: int) -> Trial:
        """Kill Redis, and start it again after `operations` more operations."""
        async with self._gateways(processes, "Redis", **_SHORT_LIVED) as (_, proxy, _ports):
            load = Load(proxy.url, self._answers)
            async with load.without_end(clients=clients):
                await load.answered(operations)
                await self._redis.kill()
                await load.answered(operations)
                await self._redis.start()
                await load.answered(operations)
            return Trial(load.stats, proxy.passed_on)

    @asynccontextmanager
    async def _gateways(
        self, processes: int, sharing: Sharing, **settings: float | str
    ) -> AsyncIterator[tuple[Fleet, Proxy, list[int]]]:
        port, *ports = free_ports(processes + 1)
        if sharing == "Redis":
            settings |= {"shared_cache_url": patient(self._redis.url, 2), "caller_key_secret": SECRET}
        with tempfile.TemporaryDirectory() as folder:
            async with (
                Fleet(ports, upstream_url=self._api.url, **settings) as gateways,
                _load_balancer(sharing, Path(folder), port, ports) as proxy,
            ):
                yield gateways, proxy, ports


def _load_balancer(
    sharing: Sharing, folder: Path, port: int, gateways: list[int]
) -> AbstractAsyncContextManager[Proxy]:
    if sharing == "HAProxy":
        return haproxy(folder, port, gateways)
    return nginx(folder, port, gateways, configured=configuration if sharing == "nginx" else in_turn)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    with counted_api() as api:
        async with redis_server(folder) as redis:
            yield Stage(redis, api, await answers_of_one_process(api.url))
