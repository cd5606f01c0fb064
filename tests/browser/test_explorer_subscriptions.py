"""GraphiQL shows each event of a subscription, and closes the stream when it is stopped."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.app import create_app
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.settings import Settings
from tests.browser.conftest import page_opener
from tests.browser.watching import PATIENCE_SECONDS, Demo, OpenPage, WatchedPage, wait_for

EXAMPLE = "LiveProgress"
NAMED = "subscription Live { gallery(perPage: 2) { projects { projectId pendingImages } } }"


@dataclass
class World:
    """A gateway that knows how many streams it sends, in front of a REST API in which time passes on demand.

    Attributes:
        now: when it is for the REST API.
        failures: how many of its next requests the REST API fails.
        streams: the number of requests for events that have not been answered to the end.
        breaks_streams: whether the connection breaks instead of the next event.
    """

    now: float = 1_800_000_000.0
    failures: int = 0
    streams: int = 0
    breaks_streams: bool = False
    open_page: OpenPage = field(init=False)

    def upstream(self) -> ASGIApp:
        app = create_upstream(clock=lambda: self.now)

        async def fail_or_answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self.failures:
                self.failures -= 1
                return await Response(status_code=503)(scope, receive, send)
            return await app(scope, receive, send)

        return fail_or_answer

    def gateway(self, app: ASGIApp) -> ASGIApp:
        async def send_unless_broken(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_or_break(message: Message) -> None:
                if self.breaks_streams:
                    raise OSError
                await send(message)

            is_stream = (b"accept", b"text/event-stream") in scope.get("headers", ())
            self.streams += is_stream
            try:
                await app(scope, receive, send_or_break if is_stream else send)
            finally:
                self.streams -= is_stream

        return send_unless_broken

    def wait_for_streams(self, page: Page, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.streams != count:
            assert time.monotonic() < deadline, f"{self.streams} streams, not {count}"
            page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def world(browser: Browser) -> Iterator[World]:
    world = World()
    with serve_in_thread(world.upstream()) as upstream_url:
        settings = Settings.read(
            _env_file=None, upstream_url=upstream_url, log_level="error", cache_unfinished_ttl_seconds=1
        )
        app = world.gateway(create_app(settings, explorer_token=CALLERS[0].token))
        with serve_in_thread(app, lifespan="on") as url:
            world.open_page = page_opener(browser, Demo(gateway_url=url, upstream_url=upstream_url))
            yield world


@pytest.fixture
def watched(world: World) -> Iterator[WatchedPage]:
    with world.open_page() as watched:
        yield watched
        assert watched.violations() == watched.complaints == watched.asked_elsewhere() == []
    # Nothing is left of a page that is closed.
    with world.open_page() as another:
        world.wait_for_streams(another.page, 0)


def answer(page: Page) -> Locator:
    return page.locator(".result-window")


def execute(page: Page) -> None:
    page.get_by_role("button", name="Execute query").click()


def run_example(world: World, page: Page) -> str:
    """Its first answer."""
    page.goto("/graphql")
    page.get_by_role("button", name=EXAMPLE, exact=True).click()
    wait_for(page, "localStorage.getItem('graphiql:operationName')", EXAMPLE)
    execute(page)
    expect(answer(page)).to_contain_text('"pendingImages"')
    assert world.streams == 1
    return answer(page).inner_text()


def test_an_event_changes_the_answer_and_the_stream_closes_when_it_is_stopped(
    world: World, watched: WatchedPage
) -> None:
    page = watched.page
    first = run_example(world, page)

    world.now += 15
    expect(answer(page)).not_to_have_text(first, use_inner_text=True)
    expect(answer(page)).to_contain_text('"pendingImages"')
    still_open = world.streams
    page.get_by_role("button", name="Stop query").click()

    world.wait_for_streams(page, 0)
    assert still_open == 1
    assert len(watched.operations(EXAMPLE)) == 1
    expect(page.get_by_role("button", name="Execute query")).to_be_visible()
    expect(answer(page)).to_contain_text('"pendingImages"')


def test_another_tab_closes_the_stream(world: World, watched: WatchedPage) -> None:
    run_example(world, watched.page)

    watched.page.get_by_role("button", name="Search", exact=True).click()

    world.wait_for_streams(watched.page, 0)
    expect(answer(watched.page)).not_to_contain_text('"pendingImages"')


def test_the_pane_shows_the_calls_of_the_last_event_and_plans_a_subscription(
    world: World, watched: WatchedPage
) -> None:
    page = watched.page
    run_example(world, page)
    page.get_by_role("button", name="Show REST calls").click()
    pane = page.get_by_role("region", name="REST calls")

    expect(pane.get_by_role("heading", level=3)).to_have_text(f"Last event of {EXAMPLE}")
    expect(pane.get_by_role("status")).to_have_text("The last event made 1 call.")
    world.failures = 1
    world.now += 15
    expect(pane.get_by_role("status")).to_have_text("The last event made 1 call, in 2 requests.")
    expect(pane.get_by_role("region", name="Last event").locator("pre")).to_have_count(2)
    page.get_by_role("button", name="Stop query").click()
    pane.get_by_role("button", name="Plan this operation").click()

    expect(pane.get_by_role("status")).to_have_text("The plan has 1 call.")


def test_a_refused_stream_shows_its_error(world: World) -> None:
    refusal = {"errors": [{"message": "Too many.", "extensions": {"code": "RATE_LIMITED"}}]}

    def refuse(route: Route) -> None:
        is_stream = route.request.headers["accept"] == "text/event-stream"
        route.fulfill(status=429, json=refusal) if is_stream else route.continue_()

    with world.open_page() as watched:
        page = watched.page
        page.route("**/graphql", refuse)
        page.goto(f"/graphql#{urlencode({'query': NAMED})}")
        execute(page)

        expect(answer(page)).to_contain_text('"RATE_LIMITED"')
        expect(page.get_by_role("button", name="Execute query")).to_be_visible()


def test_a_stream_that_breaks_says_so(world: World) -> None:
    with world.open_page() as watched:
        page = watched.page
        run_example(world, page)
        world.breaks_streams = True
        world.now += 15

        expect(answer(page)).to_contain_text("The stream was not opened, or has ended early")
        expect(page.get_by_role("button", name="Execute query")).to_be_visible()
        world.breaks_streams = False


def test_a_header_of_the_user_asks_for_the_plan_of_a_subscription(watched: WatchedPage) -> None:
    page = watched.page
    page.goto(f"/graphql#{urlencode({'query': NAMED})}")
    page.get_by_role("button", name="Headers").click()
    page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror-lines").click()
    page.keyboard.press("Control+A")
    token = CALLERS[0].token
    page.keyboard.insert_text(json.dumps({"Authorization": f"Bearer {token}", "x-gateway-report": "plan"}))

    execute(page)

    expect(answer(page)).to_contain_text('"maxCalls"')
