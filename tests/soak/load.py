"""Clients that send operations continuously, and count the outcomes: fresh, stale or failed."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import aiohttp

FRESH, STALE, FAILED = "fresh", "stale", "failed"

# The pause between two operations of one client.
_THINKING_SECONDS = 0.02

CALLERS = [f"made-up-token-{number}" for number in range(4)]
HOT = [
    "{ gallery { pagination { total } } }",
    "{ gallery { projects { projectName images(first: 1) { status } } } }",
    "{ gallery(perPage: 5) { projects { projectName totalImages } } }",
    "{ project(projectId: 7) { projectName images { status qualityScore } } }",
]
_WARM = "query ($page: Int!) { gallery(page: $page) { pagination { total } } }"
_COLD = "query ($search: String!) { gallery(search: $search) { projects { projectName } } }"
_unique = count(1)

Operation = tuple[str, dict[str, object]]
"""A document with its variables."""


def warm(chance: random.Random) -> Operation:
    return _WARM, {"page": chance.randrange(1, 31)}


def cold() -> Operation:
    return _COLD, {"search": str(next(_unique))}


def mixed(chance: random.Random) -> Operation:
    """Return an operation that most often was sent before."""
    point = chance.random()
    return hot(chance) if point < 0.7 else warm(chance) if point < 0.9 else cold()


def hot(chance: random.Random) -> Operation:
    return chance.choice(HOT), {}


async def ask(session: aiohttp.ClientSession, url: str, operation: Operation, token: str) -> str:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    try:
        async with session.post(url, data=_body(operation), headers=headers) as response:
            answer = json.loads(await response.read())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return FAILED
    if "errors" in answer:
        return FAILED
    return STALE if "stale" in answer.get("extensions", {}) else FRESH


async def load(
    url: str,
    choose: Callable[[random.Random], Operation],
    *,
    seconds: float,
    clients: int = 20,
    on_tick: Callable[[float], None] = lambda _done: None,
) -> Counter[str]:
    """Return the number of operations by outcome; `on_tick` gets the share of the time that has passed."""
    outcomes: Counter[str] = Counter()
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=15)

    async def client(number: int) -> None:
        chance = random.Random(number)
        while (passed := time.monotonic() - began) < seconds:
            on_tick(passed / seconds)
            outcomes[await ask(session, url, choose(chance), chance.choice(CALLERS))] += 1
            await asyncio.sleep(_THINKING_SECONDS)

    async with aiohttp.ClientSession(timeout=timeout) as session:
        await asyncio.gather(*(client(number) for number in range(clients)))
    return outcomes


async def hang_up(
    port: int, *, times: int, at_once: int = 50, on_tick: Callable[[float], None] = lambda _done: None
) -> None:
    """Run clients that send a new operation each and hang up before its answer, `times` in all."""
    numbers = iter(range(times))
    chance = random.Random(7)

    async def client() -> None:
        for number in numbers:
            on_tick(number / times)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_request(cold()))
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), chance.random() * 0.02)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(at_once)))


def _body(operation: Operation) -> bytes:
    document, variables = operation
    return json.dumps({"query": document, "variables": variables}).encode()


def _request(operation: Operation) -> bytes:
    body = _body(operation)
    head = (
        "POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {CALLERS[0]}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
