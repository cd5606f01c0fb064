import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings and tokens but a test's own, and no log handler left behind."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("GALLERY_GATEWAY_"):
            monkeypatch.delenv(name)
    yield
    for name in ("gallery_gateway", "uvicorn"):
        logging.getLogger(name).handlers = []
