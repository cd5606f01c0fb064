"""Sessions of `verify` over real servers, by default the stand-in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.settings import Settings
from gallery_gateway.verify.probe import Finding, Probe, Results, run_probes
from gallery_gateway.verify.session import Session, Token

DEMO_TOKENS = {Token.OURS: CALLERS[0].token, Token.OTHER: CALLERS[-1].token}


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
