import pytest

from gallery_gateway.telemetry import logs
from tests.logging_to import Written


@pytest.fixture
def as_json() -> Written:
    """The gateway's log from level info up, as JSON."""
    stream = Written()
    logs.configure("info", "json", stream=stream)
    return stream
