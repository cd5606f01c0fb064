"""GraphiQL's pane "REST calls", compared with the log of the REST API behind the gateway."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, expect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway.app import create_app
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.settings import Settings
from tests.browser.conftest import page_opener
from tests.browser.watching import Demo, OpenPage, WatchedPage

TOKEN = CALLERS[0].token
MOST_TABS = 40
DASHBOARD = """query Dashboard($page: Int!) {
  total: gallery(page: $page) { pagination { total } }
  recent: gallery(page: $page) { projects { projectName images(first: 2) { status } } }
  found: gallery(page: $page, search: "it's $HOME & `more`") { pagination { total } }
}"""


@dataclass
class Endpoint:
    """The REST API, which logs the requests that it receives."""

    app: ASGIApp
    received: list[str] = field(default_factory=list)
    failures: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/gallery/by-project":
            self.received.append(f"{scope['path']}?{scope['query_string'].decode()}")
            if self.failures:
                self.failures -= 1
                return await Response(status_code=503)(scope, receive, send)
        return await self.app(scope, receive, send)


@dataclass
class Gateway:
    """A gateway in front of the endpoint; each test asks for a page of its own, which is not cached."""

    endpoint: Endpoint
    open_page: OpenPage
    pages: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000)))

    def address(self, document: str = DASHBOARD, variables: str | None = None) -> str:
        self.endpoint.received.clear()
        variables = json.dumps({"page": next(self.pages)}) if variables is None else variables
        return f"/graphql#{urlencode({'query': document, 'variables': variables})}"


@pytest.fixture(scope="module")
def gateway(browser: Browser) -> Iterator[Gateway]:
    endpoint = Endpoint(create_upstream())
    with serve_in_thread(endpoint) as upstream_url:
        settings = Settings.read(_env_file=None, upstream_url=upstream_url, log_level="error")
        app = create_app(settings, explorer_token=TOKEN)
        with serve_in_thread(app, lifespan="on") as url:
            demo = Demo(gateway_url=url, upstream_url=upstream_url)
            yield Gateway(endpoint, page_opener(browser, demo))


@pytest.fixture
def watched(gateway: Gateway) -> Iterator[WatchedPage]:
    with gateway.open_page(permissions=["clipboard-read", "clipboard-write"]) as watched:
        yield watched


def pane_of(watched: WatchedPage) -> Locator:
    return watched.page.get_by_role("region", name="REST calls")


def open_pane(watched: WatchedPage, address: str) -> Locator:
    watched.page.goto(address)
    watched.page.get_by_role("button", name="Show REST calls").click()
    return pane_of(watched)


def show_plan(pane: Locator) -> Locator:
    pane.get_by_role("button", name="Plan this operation").click()
    plan = pane.get_by_role("region", name="Plan")
    expect(plan).to_be_visible()
    return plan


def run(watched: WatchedPage) -> Locator:
    watched.page.get_by_role("button", name="Execute query").click()
    last_run = pane_of(watched).get_by_role("region", name="Last run")
    expect(last_run).to_be_visible()
    return last_run


def pasted(line: str) -> list[str]:
    """What a shell passes to curl for a line of the pane."""
    script = f"curl() {{ printf '%s\\n' \"$@\"; }}; TOKEN=made-up; API=https://api.example/v2; {line}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.splitlines()


def calls_in(part: Locator) -> list[str]:
    """The path and query of each call that a part of the pane shows."""
    arguments = [pasted(line) for line in part.locator("pre").all_inner_texts()]
    assert all(each[:2] == ["-H", "Authorization: Bearer made-up"] for each in arguments)
    return [url.removeprefix("https://api.example/v2") for _, _, url in arguments]


def test_the_plan_and_the_run_show_exactly_what_the_endpoint_receives(
    gateway: Gateway, watched: WatchedPage
) -> None:
    pane = open_pane(watched, gateway.address())

    planned = calls_in(show_plan(pane))
    received_by_then = list(gateway.endpoint.received)
    made = calls_in(run(watched))

    assert received_by_then == []
    assert len(planned) == 2
    assert sorted(planned) == sorted(made) == sorted(gateway.endpoint.received)


def test_the_plan_has_the_reason_of_each_field(gateway: Gateway, watched: WatchedPage) -> None:
    plan = show_plan(open_pane(watched, gateway.address()))

    notes = plan.locator("li li").all_inner_texts()

    assert notes == [
        "recent: needs this page, 1,000 to 40 images",
        "total: is a part of this page, 1,000 to 20 images",
        "found: needs this page, 1,000 to 20 images",
    ]
    expect(plan).to_contain_text("2 calls, at most 60 images, if nothing is cached.")
    expect(plan).to_contain_text("The budget leaves 18 calls and 19,940 images.")


def test_a_plan_says_first_what_the_operation_costs_at_most(gateway: Gateway, watched: WatchedPage) -> None:
    document = "{ names: gallery { projects { id } } hero: project(projectId: 7) { id } }"
    pane = open_pane(watched, gateway.address(document))

    plan = show_plan(pane)

    expect(plan.locator("h3 + p")).to_have_text("1 to 2 calls, at most 21 images, if nothing is cached.")
    expect(pane.get_by_role("status")).to_have_text("The plan has 1 to 2 calls.")


def test_a_plan_above_the_budget_shows_no_call_and_its_error_once(
    gateway: Gateway, watched: WatchedPage
) -> None:
    fields = " ".join(f"a{page}: gallery(page: {page}) {{ pagination {{ total }} }}" for page in range(1, 26))
    pane = open_pane(watched, gateway.address(f"{{ {fields} }}"))

    plan = show_plan(pane)

    expect(plan).to_contain_text("It would need 25 calls, for at most 500 images; it is refused.")
    assert calls_in(plan) == []
    expect(pane.get_by_role("status")).to_have_text(
        "This operation needs 25 upstream calls; the limit is 20. Split it into several operations."
    )


def test_a_condition_that_the_page_does_not_know_is_shown_in_words(
    gateway: Gateway, watched: WatchedPage
) -> None:
    further = {"fields": ["nodes"], "condition": "NEW_ONE", "atMost": 12, "images": 1200, "after": [0]}
    call = {
        "method": "GET",
        "path": "/gallery/by-project",
        "query": "page=1",
        "images": 100,
        "bytes": 385_000,
    }
    call["fields"] = [{"key": "nodes", "reason": "FETCHED", "narrowed": None}]
    plan = {"calls": [call], "further": [further], "images": 100, "bytes": 385_000}
    plan |= {"maxCalls": 13, "maxImages": 1300, "budgetLeft": {"calls": 19, "images": 19_900}}
    pane = open_pane(watched, gateway.address())
    watched.page.route(
        "**/graphql", lambda route: route.fulfill(json={"data": None, "extensions": {"plan": plan}})
    )

    shown = show_plan(pane)

    expect(shown).to_contain_text("1 to 13 calls, at most 1,300 images, if nothing is cached.")
    expect(shown).to_contain_text("nodes: up to 12 more calls, depending on call 1")
    assert "NEW_ONE" not in shown.inner_html()


def test_a_run_with_a_retry_counts_the_call_once_and_lists_both_requests(
    gateway: Gateway, watched: WatchedPage
) -> None:
    pane = open_pane(watched, gateway.address("query Retried { gallery(page: 77) { pagination { total } } }"))
    gateway.endpoint.failures = 1

    notes = run(watched).locator("li li").all_inner_texts()

    assert [note.partition(",")[0] for note in notes] == ["503", "200"]
    expect(pane.get_by_role("status")).to_have_text("The last run made 1 call, in 2 requests.")


def test_a_run_shows_what_each_call_brought(gateway: Gateway, watched: WatchedPage) -> None:
    open_pane(watched, gateway.address())

    [first, *_] = run(watched).locator("li li").all_inner_texts()

    status, milliseconds, kilobytes = first.split(", ")
    assert (status, milliseconds.split()[1], kilobytes.split()[1]) == ("200", "ms", "KB")


def test_a_run_that_the_cache_answers_shows_no_call(gateway: Gateway, watched: WatchedPage) -> None:
    document = "query Again { gallery(order: ASC) { pagination { total } } }"
    open_pane(watched, gateway.address(document))
    run(watched)
    gateway.endpoint.received.clear()

    again = run(watched)

    expect(again).to_contain_text("max_images_per_project=1: from the cache")
    expect(pane_of(watched).get_by_role("status")).to_have_text("The last run made 0 calls.")
    assert gateway.endpoint.received == calls_in(again) == []


def test_a_run_before_the_pane_is_opened_is_shown_too(gateway: Gateway, watched: WatchedPage) -> None:
    watched.page.goto(gateway.address())
    watched.page.get_by_role("button", name="Execute query").click()
    expect(watched.page.locator(".result-window")).to_contain_text('"total"')

    watched.page.get_by_role("button", name="Show REST calls").click()

    shown = calls_in(pane_of(watched).get_by_role("region", name="Last run"))
    assert sorted(shown) == sorted(gateway.endpoint.received) != []


def test_a_plan_outlives_the_pane(gateway: Gateway, watched: WatchedPage) -> None:
    planned = calls_in(show_plan(open_pane(watched, gateway.address())))

    watched.page.get_by_role("button", name="Show Documentation Explorer").click()
    watched.page.get_by_role("button", name="Show REST calls").click()

    assert calls_in(pane_of(watched).get_by_role("region", name="Plan")) == planned


def test_a_plan_without_calls_shows_its_errors_alone(gateway: Gateway, watched: WatchedPage) -> None:
    pane = open_pane(watched, gateway.address("{ gallery(perPage: 0) { pagination { total } } }", ""))

    pane.get_by_role("button", name="Plan this operation").click()

    expect(pane.get_by_role("status")).to_have_text("`perPage` must be from 1 to 100, not 0.")
    expect(pane.get_by_role("region", name="Plan")).to_have_count(0)


@pytest.mark.parametrize(("other", "shown"), [("First", 1), ("Second", 0)])
def test_a_run_leaves_the_plan_of_the_same_operation_and_of_no_other(
    gateway: Gateway, watched: WatchedPage, other: str, shown: int
) -> None:
    total = "{ gallery { pagination { total } } }"
    pane = open_pane(watched, gateway.address(f"query First {total} query Second {total}", ""))
    show_plan(pane)

    watched.page.get_by_role("button", name="Execute query").click()
    watched.page.get_by_role("menuitem", name=other).click()

    expect(pane.get_by_role("region", name="Last run")).to_contain_text(f"Last run of {other}")
    expect(pane.get_by_role("region", name="Plan")).to_have_count(shown)


def test_a_keyboard_reaches_plan_and_copies(gateway: Gateway, watched: WatchedPage) -> None:
    page = watched.page
    page.goto(gateway.address())
    page.get_by_role("button", name="Show REST calls").focus()
    page.keyboard.press("Enter")
    pane = pane_of(watched)

    press_tab_until(watched, pane.get_by_role("button", name="Plan this operation"))
    page.keyboard.press("Enter")
    expect(pane.get_by_role("status")).to_have_text("The plan has 2 calls.")
    page.keyboard.press("Tab")
    expect(pane.get_by_role("button", name="Copy call 1")).to_be_focused()
    page.keyboard.press("Enter")

    expect(pane.get_by_role("status")).to_have_text("Call 1 is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == pane.locator("pre").first.inner_text()


def press_tab_until(watched: WatchedPage, wanted: Locator) -> None:
    for _ in range(MOST_TABS):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        watched.page.keyboard.press("Tab")
    expect(wanted).to_be_focused()


@pytest.mark.parametrize(
    ("document", "variables", "message"),
    [
        (DASHBOARD, "{", "Variables are not valid JSON"),
        (DASHBOARD, "{}", "Variable '$page' has invalid value"),
        ("{ gallery(perPage: 0) { pagination { total } } }", "", "`perPage` must be from 1 to 100, not 0."),
        ("{ nothing }", "", "Cannot query field 'nothing' on type 'Query'."),
    ],
)
def test_an_operation_without_a_plan_gets_its_error_announced(
    gateway: Gateway, watched: WatchedPage, document: str, variables: str, message: str
) -> None:
    pane = open_pane(watched, gateway.address(document, variables))

    pane.get_by_role("button", name="Plan this operation").click()

    expect(pane.get_by_role("status")).to_contain_text(message)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pane_has_the_colours_of_the_system_and_keeps_to_the_policy(
    gateway: Gateway, scheme: str
) -> None:
    with gateway.open_page(color_scheme=scheme) as watched:
        pane = open_pane(watched, gateway.address())
        show_plan(pane)
        run(watched)
        pane.get_by_role("button", name="Copy call 1").first.click()
        expect(pane.get_by_role("status")).to_have_text("Call 1 is copied.")
        colour = pane.locator("pre").first.evaluate("element => getComputedStyle(element).color")
        violations, complaints = watched.violations(), watched.complaints
        elsewhere = watched.asked_elsewhere()

    red, green, blue = map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))
    assert (red + green + blue > 3 * 128) == (scheme == "dark")
    assert violations == complaints == elsewhere == []


def test_the_pane_shows_no_token(gateway: Gateway, watched: WatchedPage) -> None:
    pane = open_pane(watched, gateway.address())
    show_plan(pane)
    run(watched)

    html = pane.inner_html()

    assert "$TOKEN" in html
    assert TOKEN not in html


def test_the_introspection_of_the_page_is_no_run(gateway: Gateway, watched: WatchedPage) -> None:
    pane = open_pane(watched, gateway.address())
    run(watched)

    with watched.page.expect_response("**/graphql") as refetched:
        watched.page.get_by_role("button", name="Re-fetch GraphQL schema").click()
    show_plan(pane)

    assert "IntrospectionQuery" in (refetched.value.request.post_data or "")
    assert "x-gateway-report" not in refetched.value.request.headers
    expect(pane.get_by_role("region", name="Last run")).to_be_visible()


def write_headers(watched: WatchedPage, **headers: str) -> None:
    watched.page.get_by_role("button", name="Headers").click()
    watched.page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror-lines").click()
    watched.page.keyboard.press("Control+A")
    watched.page.keyboard.insert_text(json.dumps({"Authorization": f"Bearer {TOKEN}", **headers}))


@pytest.mark.parametrize("header", [{"X-Gateway-Report": "1"}, {"x-gateway-report": "0"}])
def test_a_plan_runs_nothing_whatever_report_the_headers_ask_for(
    gateway: Gateway, watched: WatchedPage, header: dict[str, str]
) -> None:
    pane = open_pane(watched, gateway.address())
    write_headers(watched, **header)

    show_plan(pane)

    assert watched.operations("Dashboard")[-1].headers["x-gateway-report"] == "plan"
    assert gateway.endpoint.received == []


def test_a_header_of_the_user_replaces_the_one_of_the_pane(gateway: Gateway, watched: WatchedPage) -> None:
    page = watched.page
    open_pane(watched, gateway.address())
    write_headers(watched, **{"x-gateway-report": "plan"})
    page.get_by_role("button", name="Execute query").click()

    expect(page.locator(".result-window")).to_contain_text('"plan"')

    assert watched.operations("Dashboard")[-1].headers["x-gateway-report"] == "plan"
