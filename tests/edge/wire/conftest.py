from collections.abc import AsyncIterator

import pytest

from tests.edge.replays.echo_server import UVLOOP
from tests.edge.wire.recording import RecordingApp
from tests.edge.wire.serving import Listening, served


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return UVLOOP


@pytest.fixture
def app() -> RecordingApp:
    return RecordingApp()


@pytest.fixture
async def server(app: RecordingApp) -> AsyncIterator[Listening]:
    async with served(app) as server:
        yield server
