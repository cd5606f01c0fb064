from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes import Client, FakeUpstream, gateway


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream) as client:
        yield client


@pytest.fixture
def ask(client: Client) -> Any:
    return client.ask
