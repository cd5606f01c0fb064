"""The REST API on a real port: correct by default, with faults by name and rate."""

import asyncio
import random
import socket
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from tests.fakes import image_body, page_body, project_body
from tests.faults.catalogue import FAULTS, OF_THE_LISTENER, REFUSED
from tests.faults.exchanges import Exchange, parameters_in
from tests.upstream.sockets import RawServer

GOOD = "good"

_HOST = "127.0.0.1"

Pages = Callable[[dict[str, str]], dict[str, Any]]
"""The right answer to the parameters of a request."""


def one_page(_parameters: dict[str, str]) -> dict[str, Any]:
    """Two projects, of two images and of one."""
    return page_body(project_body(7, image_body(0), image_body(1)), project_body(8, image_body(2)))


@dataclass(frozen=True, slots=True)
class Capacity:
    """A number of concurrent requests, each of which takes some seconds; others wait."""

    slots: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.slots / self.seconds


class FaultyEndpoint:
    """A REST API into which faults can be injected at any time.

    Args:
        pages: makes the right answers.
        delay_seconds: what the slow faults wait between two things that they do.
        seed: of the choice among faults that have a rate.
        capacity: None = without bounds.

    `answered` counts the requests by what they were answered with: the name of a fault, or `GOOD`;
    `served_seconds` is what they took in their slots.
    """

    def __init__(
        self,
        pages: Pages = one_page,
        *,
        delay_seconds: float = 0.05,
        seed: int = 7,
        capacity: Capacity | None = None,
    ) -> None:
        self.server = RawServer(self._respond)
        self.answered: Counter[str] = Counter()
        self.delay_seconds = delay_seconds
        self.capacity = capacity
        self.served_seconds = 0.0
        self._pages = pages
        self._slots = asyncio.Semaphore(capacity.slots if capacity else 1)
        self._chance = random.Random(seed)
        self._rates: dict[str, float] = {}
        self._coming: deque[str] = deque()
        self._served: WeakKeyDictionary[asyncio.StreamWriter, int] = WeakKeyDictionary()
        self._listener: asyncio.Server | None = None
        self._plugs: list[socket.socket] = []

    @property
    def url(self) -> str:
        return self.server.url

    async def inject(self, fault: str, rate: float = 1.0) -> None:
        """From now on this fault and no other, in that share of the requests.

        Raises:
            ValueError: no such fault, or one that takes every connection with a rate below 1.
        """
        await self.mix({fault: rate})

    async def mix(self, rates: dict[str, float]) -> None:
        """From now on each of these faults in its share of the requests; as `inject`."""
        whole = next((name for name in rates if name in OF_THE_LISTENER), None)
        is_known = rates.keys() <= {*FAULTS, *OF_THE_LISTENER}
        if not is_known or sum(rates.values()) > 1.000_001 or (whole and rates != {whole: 1.0}):
            raise ValueError(f"not a mix of faults: {rates}")
        self._rates = {} if whole else dict(rates)
        await self._listen(whole)

    async def heal(self) -> None:
        self._coming.clear()
        await self.mix({})

    def then(self, *names: str) -> None:
        """What the coming requests are answered with, one after the other: faults, or `GOOD`."""
        self._coming.extend(names)

    async def start(self) -> None:
        await self._listen(None)

    async def aclose(self) -> None:
        await self._close()
        await self.server.aclose()

    async def _respond(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        number = self._served[writer] = self._served.get(writer, 0) + 1
        name = self._choose()
        self.answered[name] += 1
        page = self._pages(parameters_in(head))
        exchange = Exchange(head, page, writer, self.server, number, self.delay_seconds)
        if self.capacity:
            async with self._slots:
                began = time.monotonic()
                await asyncio.sleep(self.capacity.seconds)
                self.served_seconds += time.monotonic() - began
        await (FAULTS[name](exchange) if name in FAULTS else exchange.answer())

    def _choose(self) -> str:
        if self._coming:
            return self._coming.popleft()
        point = self._chance.random()
        for name, rate in self._rates.items():
            point -= rate
            if point < 0:
                return name
        return GOOD

    async def _listen(self, fault: str | None) -> None:
        """Accepts connections, or refuses them, or lets them wait for ever."""
        if fault is None and self._listener is not None:
            return
        await self._close()
        if fault is None:
            self._listener = await asyncio.start_server(
                self.server.accept, _HOST, self.server.port, backlog=1024
            )
            self.server.port = self._listener.sockets[0].getsockname()[1]
        elif fault != REFUSED:
            self._plugs = _plugged(self.server.port)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for plug in self._plugs:
            plug.close()
        self._plugs = []
        await self.server.hang_up()


def _plugged(port: int) -> list[socket.socket]:
    """A listener whose queue is full: the system drops who knocks, and does not say so."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_HOST, port))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for client in waiting:
        client.setblocking(False)
        client.connect_ex((_HOST, port))
    return [listener, *waiting]


@asynccontextmanager
async def faulty_endpoint(
    pages: Pages = one_page, *, capacity: Capacity | None = None, **chosen: Any
) -> AsyncIterator[FaultyEndpoint]:
    """On a free port; arguments as of `FaultyEndpoint`."""
    endpoint = FaultyEndpoint(pages, capacity=capacity, **chosen)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.aclose()
