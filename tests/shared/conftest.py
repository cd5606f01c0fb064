from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.shared.servers import RedisServer, redis_server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server
