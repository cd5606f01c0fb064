import pytest

from gallery_gateway.telemetry import logs
from tests.logging_to import Written


@pytest.fixture
def logged() -> Written:
    """What the gateway logs from level info up."""
    stream = Written()
    logs.configure("info", "text", stream=stream)
    return stream
