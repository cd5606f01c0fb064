"""A real nginx that lets WebSockets through and keeps its connections, and those who share them."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from tests.edge.wire.recording import RecordingApp
from tests.edge.wire.serving import connected, exchange
from tests.edge.wire.streams import generate_stream
from tests.process.serving import PATIENCE_SECONDS
from tests.scaling.proxy import Configure, configuration

_KEPT = "    keepalive 32;"
_LOCATION = "\n    location / {"
_NO_UPGRADE = '        proxy_set_header Connection "";\n'
_UPGRADE = """
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_request_buffering {buffering};
"""
_OWN = """
    location = /passed {
        return 204;
    }
"""
_MAP = """
map $http_upgrade $connection_upgrade {
    default upgrade;
    "" "";
}
"""
# What is half a request stays one; nobody answers it.
_HALF_SECONDS = 0.2
_LAST = b"GET /last HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n"


def with_websockets(*, buffering: str) -> Configure:
    """The example of deploy/nginx with the lines that are usual for WebSockets.

    Two connections are kept, so that everyone gets one that another had.

    Args:
        buffering: `on`, or `off` for bodies that are passed on while they come.
    """

    def configured(port: int, gateways: Sequence[int]) -> str:
        text = configuration(port, gateways)
        assert text.count(_NO_UPGRADE) == text.count(_KEPT) == text.count(_LOCATION) == 1
        text = text.replace(_NO_UPGRADE, _UPGRADE.format(buffering=buffering))
        text = text.replace(_KEPT, "    keepalive 2;")
        return _MAP + text.replace(_LOCATION, _OWN + _LOCATION)

    return configured


class WatchedApp(RecordingApp):
    """Tells when it has been handed a request to some path, and holds answers until it may give them."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: set[bytes] = set()
        self._held: dict[bytes, asyncio.Event] = {}
        self._is_handed = asyncio.Condition()

    @asynccontextmanager
    async def holding(self, path: bytes) -> AsyncIterator[asyncio.Event]:
        """Requests to `path` are answered once the event is set, or the block ends."""
        event = self._held[path] = asyncio.Event()
        try:
            yield event
        finally:
            event.set()

    async def arrived(self, path: bytes) -> None:
        """Waits for a request to `path`; not for ever, since the proxy may have refused it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HALF_SECONDS), self._is_handed:
                await self._is_handed.wait_for(lambda: path in self._paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["raw_path"]
            async with self._is_handed:
                self._paths.add(path)
                self._is_handed.notify_all()
            if path in self._held:
                await self._held[path].wait()
        await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Attack:
    """A stream that stands on its own; `rest` is sent once `first` has arrived at `path`."""

    path: bytes
    first: tuple[bytes, ...]
    rest: tuple[bytes, ...] = ()


def attacks(seed: int) -> Iterator[Attack]:
    """Smuggled requests behind offers to upgrade, and any streams, by turns; without end."""
    for number in itertools.count():
        rng = random.Random(f"{seed}:{number}")
        if number % 2:
            yield Attack(b"/", (*generate_stream(rng).pieces, _LAST))
        else:
            yield smuggling(rng, b"POST", b"/attack/%d" % number, rng.choice(_INNER))


_OPEN = b"POST /inner HTTP/1.1\r\nhost: gateway\r\nx-open: "
# None of them is whole, or the proxy would see an answer that nobody waits for, and drop the connection: they
# take the beginning of the next request for theirs, and leave their answer for it.
_INNER = (
    b"POST /inner HTTP/1.1\r\nhost: gateway\r\ncontent-length: 5\r\n\r\n",
    _OPEN,
    b"GET /inner HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n5;",
    # Too large for the proxy to keep in memory, so that most of it leaves later than the head. Wherever the
    # first piece of it ends, a request may begin: empty lines before one are none of it.
    b"\r\n" * 9_000 + _OPEN,
    b"\r\n" * 12_000 + _OPEN,
    b"\r\n" * 40_000 + _OPEN,
)


def smuggling(rng: random.Random, method: bytes, target: bytes, inner: bytes, *headers: bytes) -> Attack:
    """A request that offers an upgrade, and has another one for its body."""
    lines = [
        b"%b %b HTTP/1.1" % (method, target),
        b"host: gateway",
        b"upgrade: " + rng.choice((b"websocket", b"h2c", b"TLS/1.2", b"anything")),
        # The proxy ends its connection with the client, and not the one that it shares out.
        b"connection: " + rng.choice((b"upgrade, close", b"Upgrade, HTTP2-Settings, close")),
        *headers,
    ]
    if rng.random() < 0.5:
        lines.append(b"content-length: %d" % len(inner))
        body = inner
    else:
        lines.append(b"transfer-encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    return Attack(target.partition(b"?")[0], (b"\r\n".join([*lines, b"", b""]),), (body,))


async def passed(port: int) -> None:
    """Waits until the proxy has passed on what was sent before: what comes later, it reads later."""
    await exchange(port, b"GET /passed HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")


async def attack(port: int, stream: Attack, app: WatchedApp) -> bytes:
    """All that an attacker gets; the answer comes when the whole of the attack has passed the proxy."""
    if not stream.rest:
        async with connected(port) as wire:
            await wire.send(stream.first)
            return await wire.has_come(_HALF_SECONDS)
    async with app.holding(stream.path) as may_answer, connected(port) as wire:
        await wire.send(stream.first)
        await app.arrived(stream.path)
        await wire.send(stream.rest)
        await passed(port)
        may_answer.set()
        return await wire.has_come(_HALF_SECONDS)


class Company:
    """Attackers and honest clients side by side.

    `wrong` is what honest clients were given amiss, `attacked` all that attackers got.

    Args:
        honest: makes the honest request of that number, and says what is wrong with its answer, if anything.
        attack: one attack; what it got.
    """

    def __init__(
        self, honest: Callable[[int], Awaitable[str | None]], attack: Callable[[], Awaitable[bytes]]
    ) -> None:
        self.wrong: list[str] = []
        self.attacked: list[bytes] = []
        self._honest = honest
        self._attack = attack

    async def meet(self, count: int, *, side_by_side: int = 4) -> None:
        """So many honest requests, each of them after an attack of its own."""
        numbers = iter(range(count))
        has_attacked = asyncio.Semaphore(side_by_side)

        async def be_honest() -> None:
            for number in numbers:
                await has_attacked.acquire()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    fault = await self._honest(number)
                if fault is not None:
                    self.wrong.append(fault)

        async def go_on_attacking() -> None:
            while True:
                self.attacked.append(await self._attack())
                has_attacked.release()

        async with asyncio.TaskGroup() as group:
            attacking = [group.create_task(go_on_attacking()) for _ in range(side_by_side)]
            await asyncio.gather(*(be_honest() for _ in range(side_by_side)))
            for task in attacking:
                task.cancel()
