import socket
from collections.abc import AsyncIterator

import pytest

from tests.process.serving import Server, SlowUpstream, serve, slow_upstream


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[SlowUpstream, str]]:
    async with slow_upstream() as endpoint:
        yield endpoint


@pytest.fixture
def slow(endpoint: tuple[SlowUpstream, str]) -> SlowUpstream:
    """What the gateway has behind it."""
    return endpoint[0]


@pytest.fixture
async def server(endpoint: tuple[SlowUpstream, str]) -> AsyncIterator[Server]:
    """A gateway of the test's own, in front of the slow endpoint."""
    async with serve(endpoint[1], shutdown_grace_seconds=2) as server:
        yield server


@pytest.fixture(scope="session")
async def lonely_server() -> AsyncIterator[Server]:
    """A gateway whose endpoint is down; shared, so no test may end it."""
    # Bound and never listened on: connections to it are refused, and nobody else gets the port.
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with serve(f"http://127.0.0.1:{unused.getsockname()[1]}") as server:
            yield server
