"""The complete gateway on a real port, in a thread of its own, in front of any upstream."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from gallery_gateway.app import create_app
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.resilience import PRODUCTION_RULES, ResilienceRules


@contextmanager
def served_gateway(
    upstream_url: str, *, rules: ResilienceRules = PRODUCTION_RULES, **settings: Any
) -> Iterator[str]:
    """Gives its base URL; settings by their Python names."""
    chosen = {"upstream_url": upstream_url, "log_level": "error", **settings}
    app = create_app(Settings.read(_env_file=None, **chosen), rules=rules)
    # It listens from here on, so no test has to wait for the thread.
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
