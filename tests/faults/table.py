"""Every fault in turn, against one gateway over real sockets, and what the client got."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from gallery_gateway.upstream.breaker import BreakerRules
from gallery_gateway.upstream.resilience import ResilienceRules
from gallery_gateway.upstream.retries import RetryRules
from tests.faults.catalogue import NAMES, OF_THE_LISTENER
from tests.faults.endpoint import FaultyEndpoint, faulty_endpoint
from tests.faults.serving import served_gateway

DOCUMENT = """{ gallery { pagination { total } projects {
    projectId projectName totalImages images { id status qualityScore feedback output { fullSize } }
} } }"""

# Short, so that the whole table takes seconds, and longer than a busy machine takes for the rest.
CONNECT_SECONDS = 0.3
FIRST_BYTE_SECONDS = 1.0
READ_SECONDS = 1.2
CALL_SECONDS = 1.5
SETTINGS = {
    "upstream_connect_timeout_seconds": CONNECT_SECONDS,
    "upstream_first_byte_timeout_seconds": FIRST_BYTE_SECONDS,
    "upstream_total_timeout_seconds": CALL_SECONDS,
    "upstream_max_bytes": 1024 * 1024,
    "cache_ttl_seconds": 0,
}
RULES = ResilienceRules(
    # The calls that one fault fails must not open the breaker for the next fault.
    breaker=BreakerRules(min_calls=100_000),
    retries=RetryRules(first_wait_seconds=0.01, budget_share=1.0),
    read_timeout_seconds=READ_SECONDS,
)

AT_ONCE = "nothing"
WAITS = {
    AT_ONCE: 0.0,
    "connect x 3": 3 * CONNECT_SECONDS,
    "first byte": FIRST_BYTE_SECONDS,
    "silence": READ_SECONDS,
    "the call": CALL_SECONDS,
    "`Retry-After` x 2": 2.0,
}
"""What a client may have waited for, and how long that is here, in seconds."""

ENDED_BY = {
    "unreachable": "connect x 3",
    "silent": "first byte",
    "stalled-half-way": "silence",
    "drip-fed": "the call",
    "drip-fed-headers": "the call",
    "429-retry-after": "`Retry-After` x 2",
    "503-retry-after": "`Retry-After` x 2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one fault led to.

    Args:
        code: of the errors; `data` if there was none.
        calls: that were made of the endpoint; None where the endpoint cannot count them.
        lost: where the errors are.
        is_healthy: whether the next operation was answered in full.
    """

    fault: str
    code: str
    status: int
    calls: int | None
    lost: str
    seconds: float
    is_healthy: bool

    @property
    def ended_by(self) -> str:
        """What its client waited for; see `WAITS`."""
        return ENDED_BY.get(self.fault, AT_ONCE)

    def shown(self) -> str:
        """As `docs/faults.md` shows it."""
        cells = [
            f"`{self.fault}`",
            "data" if self.code == "data" else f"`{self.code}`",
            str(self.status),
            self.ended_by,
            "" if self.calls is None else str(self.calls),
            self.lost,
            "yes" if self.is_healthy else "no",
        ]
        return "| " + " | ".join(cells) + " |"


async def rows() -> AsyncIterator[Row]:
    async with faulty_endpoint() as endpoint:
        with served_gateway(endpoint.url, rules=RULES, **SETTINGS) as url:
            async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
                good = (await _ask(client, "made-up-token")).json()
                for fault in NAMES:
                    yield await _row(fault, endpoint, client, good)


async def _row(fault: str, endpoint: FaultyEndpoint, client: httpx.AsyncClient, good: Any) -> Row:
    token = f"made-up-token-{fault}"
    await endpoint.inject(fault)
    if fault == "closed-when-used-again":
        await _ask(client, token)
    before = endpoint.answered.total()
    started = time.monotonic()
    response = await _ask(client, token)
    seconds = time.monotonic() - started
    calls = None if fault in OF_THE_LISTENER else endpoint.answered.total() - before
    await endpoint.heal()
    return Row(
        fault=fault,
        code=", ".join(sorted({e["extensions"]["code"] for e in response.json().get("errors", [])}))
        or "data",
        status=response.status_code,
        calls=calls,
        lost=_lost(response.json()),
        seconds=seconds,
        is_healthy=await _is_healthy(client, token, good),
    )


async def _is_healthy(client: httpx.AsyncClient, token: str, good: Any) -> bool:
    """Return whether the next operation succeeds, after any `retryAfter`."""
    answer = (await _ask(client, token)).json()
    for error in answer.get("errors", []):
        await asyncio.sleep(error["extensions"].get("retryAfter", 0))
        answer = (await _ask(client, token)).json()
    return bool(answer == good)


async def _ask(client: httpx.AsyncClient, token: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return await client.post("/graphql", json={"query": DOCUMENT}, headers=headers)


def _lost(answer: dict[str, Any]) -> str:
    """The fields with errors, without the places of their lists."""
    if answer.get("data") == {"gallery": None}:
        return "the page"
    paths = [error["path"] for error in answer.get("errors", [])]
    names = {".".join(part for part in path if isinstance(part, str)) for path in paths}
    return ", ".join(f"`{name.removeprefix('gallery.')}`" for name in sorted(names)) or "nothing"
