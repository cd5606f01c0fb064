from collections.abc import AsyncIterator, Iterator

import pytest

from gallery_gateway.demo.server import create_upstream, serve_in_thread
from tests.process.serving import Server, serve


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The stand-in with its made-up projects; its base URL."""
    with serve_in_thread(create_upstream(delay_seconds=0)) as url:
        yield url


@pytest.fixture(scope="session")
async def server(endpoint: str) -> AsyncIterator[Server]:
    """The real server with narrow limits; shared, so no test may end it."""
    limits: dict[str, str | int] = {
        "request_timeout_seconds": 1,
        "allowed_hosts": "gateway,127.0.0.1",
        "cors_origins": "https://shop.example",
    }
    async with serve(endpoint, **limits) as server:
        yield server
