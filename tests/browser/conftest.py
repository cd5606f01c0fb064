"""Debian's chromium in front of the real demo.

Playwright's event loop runs as long as its fixture lives, and no other can run meanwhile. So it lives
for this folder: the async tests of the others come before or after.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.browser.watching import PATIENCE_SECONDS, Demo, OpenPage, WatchedPage

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whoever asks another host finds none.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_DESKTOP_PIXELS = (1280, 900)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    if found is None:
        pytest.skip("no chromium is installed; CHROMIUM may say where one is")
    return found


@pytest.fixture(scope="session")
def shop() -> Iterator[str]:
    """The origin of another site, whose pages may read responses of the demo."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _EmptyPages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def demo(shop: str) -> Iterator[Demo]:
    with started_demo("--port", "0", GALLERY_GATEWAY_CORS_ORIGINS=shop) as (_, demo):
        yield demo


@contextmanager
def started_demo(*options: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], Demo]]:
    """The real command, in a process of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GALLERY_GATEWAY_")
    }
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", "gallery_gateway", "demo", *options],
        env=environment | {"GALLERY_GATEWAY_LOG_LEVEL": "error"} | settings,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, _announced(process)
        finally:
            process.terminate()


def _announced(process: subprocess.Popen[str]) -> Demo:
    assert process.stdout
    gateway = upstream = None
    for line in process.stdout:
        gateway = gateway or re.search(r"The gateway: (\S+)/graphql", line)
        upstream = upstream or re.search(r"REST API behind it: (\S+)/gallery/by-project", line)
        if gateway and upstream:
            return Demo(gateway_url=gateway[1], upstream_url=upstream[1])
    raise AssertionError("the demo ended before it told where it is")


@pytest.fixture(scope="package")
def browser(chromium_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        # Each launch has a profile folder of its own.
        browser = playwright.chromium.launch(executable_path=chromium_path, args=_CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def open_page(browser: Browser, demo: Demo) -> OpenPage:
    return page_opener(browser, demo)


def page_opener(browser: Browser, demo: Demo) -> OpenPage:
    """Opens a page with a storage of its own until a block ends; further arguments are Playwright's."""

    @contextmanager
    def open_page(*, pixels: tuple[int, int] = _DESKTOP_PIXELS, **options: Any) -> Iterator[WatchedPage]:
        viewport: ViewportSize = {"width": pixels[0], "height": pixels[1]}
        with browser.new_context(base_url=demo.gateway_url, viewport=viewport, **options) as context:
            context.set_default_timeout(PATIENCE_SECONDS * 1000)
            yield WatchedPage(context, demo)

    return open_page


@pytest.fixture(scope="package")
def desktop(open_page: OpenPage) -> Iterator[BrowserContext]:
    """What most pages share: opening one is cheap."""
    with open_page() as watched:
        yield watched.page.context


@pytest.fixture
def watched(desktop: BrowserContext, demo: Demo) -> Iterator[WatchedPage]:
    watched = WatchedPage(desktop, demo)
    yield watched
    watched.page.close()


@pytest.fixture
def page(watched: WatchedPage) -> Page:
    return watched.page


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pictures are for those who ask for them, and no test that is skipped for the others."""
    is_unwanted = collection_path.name == "test_screenshots.py" and not config.getoption("--screenshots")
    return is_unwanted or None


@pytest.fixture
def screenshots(pytestconfig: pytest.Config) -> Path:
    """The folder to write to."""
    path = Path(pytestconfig.getoption("--screenshots"))
    path.mkdir(parents=True, exist_ok=True)
    return path
