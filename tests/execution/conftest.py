import io
import logging
from collections.abc import Iterator

import pytest

from gallery_gateway.telemetry import logs


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the gateway logs from level info up."""
    logs.configure("info")
    stream = io.StringIO()
    logger = logging.getLogger("gallery_gateway")
    handler = logger.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    logger.handlers = []
