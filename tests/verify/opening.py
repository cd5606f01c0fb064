"""Sessions of `verify` over real servers, and what one probe finds there."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.types import ASGIApp

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.settings import Settings
from gallery_gateway.verify.probe import Finding, Probe, Results, run_probes
from gallery_gateway.verify.session import Session, Token
from tests.upstream.sockets import Respond, http_response

# In 2100, so that no link has expired. A live project is in the middle of its run.
_STILL_SECONDS = 4_102_444_800.0 + 150

DEMO_TOKENS = {Token.OURS: CALLERS[0].token, Token.OTHER: CALLERS[-1].token}


def still_upstream() -> ASGIApp:
    """Return the stand-in at one moment, so that nothing changes while it is verified."""
    return create_upstream(clock=lambda: _STILL_SECONDS)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an app, and yield its URL. The server ends in the background, for which uvicorn takes 0.2 s."""
    serving = serve_in_thread(app)
    try:
        yield serving.__enter__()
    finally:
        threading.Thread(target=serving.__exit__, args=(None, None, None)).start()


@asynccontextmanager
async def session(
    url: str,
    *,
    tokens: Mapping[Token, str] = DEMO_TOKENS,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Session]:
    """Open a session with the API at `url`; settings by their Python names."""
    read = Settings.read(_env_file=None, upstream_url=url, **(settings or {}))
    opened = Session(read, tokens=tokens, **options)
    try:
        yield opened
    finally:
        await opened.aclose()


async def finding_of(probe: Probe, opened: Session) -> Finding:
    results: Results = {}
    await run_probes([probe], opened, results, progress=lambda _probe: None)
    return results[probe]


def json_response(body: Any, *headers: str, status: str = "200 OK") -> bytes:
    return http_response(json.dumps(body).encode(), "Content-Type: application/json", *headers, status=status)


def in_turn(*responses: bytes) -> Respond:
    """Answer with each response once, and with the last one from then on."""
    left = list(responses)

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return respond
