"""The moment at which the last of those who wait for a call gives up."""

import asyncio
from types import TracebackType


class Deadline:
    """In the loop's seconds. As a context, it ends its block then with a `TimeoutError`.

    Whoever joins may put it off, and nobody can bring it forward: each waiter's own is its own affair.
    """

    def __init__(self, at: float) -> None:
        self._at = at
        self._timeout: asyncio.Timeout | None = None

    @property
    def at(self) -> float:
        return self._at

    @property
    def remaining_seconds(self) -> float:
        return self._at - asyncio.get_running_loop().time()

    def extend(self, at: float) -> None:
        if at <= self._at:
            return
        self._at = at
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(at)

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout_at(self._at)
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            await timeout.__aexit__(kind, error, trace)
