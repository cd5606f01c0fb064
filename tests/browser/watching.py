"""A page of the browser under watch: whatever it complains about or asks elsewhere is kept."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request

# What a busy machine may take; nothing waits longer than it must.
PATIENCE_SECONDS = 15

# Runs before any script of the page. A violation is told to the document only, not to the tests.
_KEEP_VIOLATIONS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.violations.push(`${event.effectiveDirective}: ${event.blockedURI}`);
});
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The two servers of the demo, by their base URLs, without a slash at the end."""

    gateway_url: str
    upstream_url: str


class WatchedPage:
    """A new page of a browser context, and what it did so far."""

    def __init__(self, context: BrowserContext, demo: Demo) -> None:
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self._demo = demo
        self.page: Page = context.new_page()
        self.page.add_init_script(_KEEP_VIOLATIONS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", self._hear_error)
        self.page.on("request", self._keep)

    def operations(self, name: str | None = None) -> list[Request]:
        """The requests that ran an operation (of that name), in their order."""
        posted = [request for request in self.requests if request.method == "POST"]
        return [request for request in posted if name in {None, sent(request).get("operationName")}]

    def asked_elsewhere(self) -> list[str]:
        """The addresses of other servers than the demo's; the browser is started so that it finds none."""
        return [request.url for request in self.requests if self._is_elsewhere(request.url)]

    def violations(self) -> list[str]:
        """What the content security policy has forbidden since the page was loaded."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def _is_elsewhere(self, url: str) -> bool:
        parts = urlsplit(url)
        ours = (self._demo.gateway_url, self._demo.upstream_url)
        return parts.scheme in {"http", "https"} and f"{parts.scheme}://{parts.netloc}" not in ours

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _hear_error(self, error: Error) -> None:
        self.complaints.append(str(error))

    def _keep(self, request: Request) -> None:
        self.requests.append(request)


OpenPage = Callable[..., AbstractContextManager[WatchedPage]]
"""Opens a page with a storage of its own until a block ends."""


def wait_for(page: Page, script: str, wanted: object) -> None:
    """Waits until `script` gives `wanted`.

    Playwright's own way needs eval, which the policy of our pages forbids.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := page.evaluate(script)) != wanted:
        assert time.monotonic() < deadline, f"{script}: {found!r}, not {wanted!r}"
        page.wait_for_timeout(20)


def sent(request: Request) -> dict[str, Any]:
    """The GraphQL request in the body."""
    body: dict[str, Any] = json.loads(request.post_data or "{}")
    return body
