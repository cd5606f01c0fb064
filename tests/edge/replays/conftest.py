from collections.abc import AsyncIterator

import pytest

from tests.edge.replays.echo_server import UVLOOP, Echo, Served, served


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return UVLOOP


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture
async def server(app: Echo) -> AsyncIterator[Served]:
    async with served(app) as server:
        yield server
