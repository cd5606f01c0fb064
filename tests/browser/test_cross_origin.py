"""What Chromium lets the pages of other sites send and read."""

from typing import Any

from playwright.sync_api import Page

from gallery_gateway.demo.callers import CALLERS
from tests.browser.watching import Demo

# As Sentry, Datadog and Apollo Client add them, and one of our own.
HEADERS = {
    "content-type": "application/json",
    "authorization": f"Bearer {CALLERS[0].token}",
    "sentry-trace": "d4cda95b652f4a1592b449d5929fda1b-6e0c63257de34c92-1",
    "baggage": "sentry-environment=production",
    "x-datadog-trace-id": "1",
    "apollographql-client-name": "shop",
    "x-request-timeout": "20",
}
READ = ["age", "etag", "retry-after", "x-request-id", "server-timing"]
SEND = """async ([url, headers, read]) => {
  try {
    const body = '{"query": "{ gallery { pagination { total } } }"}';
    const response = await fetch(url, { method: "POST", headers, body });
    const { data } = await response.json();
    return { data, read: read.filter((name) => response.headers.has(name)) };
  } catch (error) {
    return { failed: error.name };
  }
}"""


def send(page: Page, demo: Demo) -> Any:
    return page.evaluate(SEND, [f"{demo.gateway_url}/graphql", HEADERS, READ])


def test_a_page_of_an_allowed_origin_sends_the_headers_of_its_libraries(
    page: Page, demo: Demo, shop: str
) -> None:
    page.goto(shop)

    seen = send(page, demo)

    assert seen["data"]["gallery"]["pagination"]["total"] > 0
    assert {"age", "x-request-id"} <= set(seen["read"])


def test_a_page_of_another_origin_reads_nothing(page: Page, demo: Demo) -> None:
    page.goto(demo.upstream_url)

    assert send(page, demo) == {"failed": "TypeError"}
