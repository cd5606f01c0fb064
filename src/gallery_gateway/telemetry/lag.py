"""How late the event loop is: what it was asked to do at a moment, and did later."""

import asyncio
from collections.abc import Callable

_INTERVAL_SECONDS = 0.25


async def watch_lag(tell: Callable[[float], None], *, interval_seconds: float = _INTERVAL_SECONDS) -> None:
    """Tells the lag in seconds, again and again until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        tell(max(0.0, loop.time() - due))
