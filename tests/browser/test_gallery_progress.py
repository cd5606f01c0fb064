"""How the gallery page follows progress: by a stream, and by polling while there is none."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from signal import SIGKILL, SIGTERM
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.app import create_app
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.frontend import frontend_routes
from gallery_gateway.demo.projects import CYCLE_SECONDS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.settings import Settings
from tests.browser.conftest import page_opener, started_demo
from tests.browser.views import SETTLED_PROJECT, cards
from tests.browser.watching import Demo, OpenPage, WatchedPage, sent, wait_for
from tests.telemetry.scraping import free_port

TOKEN = CALLERS[0].token
# Of the live project whose runs begin with the cycle.
RUN_IS_HALF_DONE_SECONDS, RUN_IS_DONE_SECONDS = 120, 300

_KEEP_ANNOUNCEMENTS = """window.announced = [];
new MutationObserver(() => window.announced.push(document.getElementById('status').textContent))
  .observe(document.getElementById('status'), { childList: true, characterData: true, subtree: true });"""

_KEEP_TIME_OF_CHANGE = """window.changedAt = 0;
new MutationObserver(() => (window.changedAt ||= Date.now()))
  .observe(document.querySelector('.numbers'), { childList: true, characterData: true, subtree: true });"""


class Clock:
    """Of the REST API: a live project goes on when a test says so, and only then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begin_run()

    def begin_run(self) -> None:
        """Go to the middle of a run that no test has seen."""
        start = max(self.now, time.time()) // CYCLE_SECONDS + 1
        self.now = start * CYCLE_SECONDS + RUN_IS_HALF_DONE_SECONDS

    def __call__(self) -> float:
        return self.now


@dataclass
class Line:
    """The way to the gateway, which treats streams as some networks do."""

    app: ASGIApp
    treatment: str = "passes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_badly(message: Message) -> None:
            is_head = message["type"] == "http.response.start"
            is_event = b"event: next" in message.get("body", b"")
            if self.treatment == "breaks" and is_event:
                raise ConnectionResetError
            if self.treatment == "passes" or (self.treatment == "holds events" and is_head):
                await send(message)

        is_stream = (b"accept", b"text/event-stream") in scope.get("headers", ())
        if is_stream and self.treatment == "refuses":
            response = JSONResponse({"errors": []}, 503, headers={"retry-after": "5"})
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send_badly if is_stream else send)


@dataclass
class Endpoint:
    """The REST API, which notes when it is called."""

    app: ASGIApp
    called_at: list[float] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/gallery/by-project":
            self.called_at.append(time.time())
        await self.app(scope, receive, send)


@dataclass
class World:
    clock: Clock
    endpoint: Endpoint
    line: Line
    url: str
    open_page: OpenPage
    live_project: int

    @property
    def address(self) -> str:
        """Of the live project in the page."""
        return f"/?project={self.live_project}&images=48"


@pytest.fixture(scope="module")
def served(browser: Browser) -> Iterator[World]:
    clock = Clock()
    endpoint = Endpoint(create_upstream(clock=clock))
    with serve_in_thread(endpoint) as upstream_url:
        settings = Settings.read(
            _env_file=None,
            upstream_url=upstream_url,
            log_level="error",
            cache_unfinished_ttl_seconds=1,
            # A page of one test is old in the next.
            cache_ttl_seconds=1,
            stale_while_revalidate_seconds=0,
        )
        app = create_app(settings, explorer_token=TOKEN)
        app.router.routes.extend(frontend_routes(pictures_origin=upstream_url, explorer_path="/graphql"))
        line = Line(app)
        with serve_in_thread(line, lifespan="on") as url:
            demo = Demo(gateway_url=url, upstream_url=upstream_url)
            project = live_project(upstream_url)
            yield World(clock, endpoint, line, url, page_opener(browser, demo), project)


def live_project(upstream_url: str) -> int:
    response = httpx.get(
        f"{upstream_url}/gallery/by-project",
        params={"ownership": "mine", "per_page": 2},
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    [found] = [
        project["project_id"]
        for project in response.json()["projects"]
        if 0 < project["completed_images"] + project["failed_images"] < project["total_images"]
    ]
    return int(found)


@pytest.fixture
def world(served: World) -> World:
    served.clock.begin_run()
    served.line.treatment = "passes"
    # The pages of the run before are no longer fresh.
    time.sleep(1)
    return served


@pytest.fixture
def watched(world: World) -> Iterator[WatchedPage]:
    with world.open_page() as watched:
        yield watched


@pytest.fixture
def timed(world: World) -> Iterator[WatchedPage]:
    """A page whose time a test can move on."""
    with world.open_page() as watched:
        watched.page.clock.install()
        yield watched


def number(page: Page, term: str) -> Locator:
    return page.locator(".numbers div").filter(has_text=term).locator("dd")


def receipt(page: Page) -> Locator:
    """Of what follows the progress."""
    return page.locator(".receipt summary").nth(1)


def is_operation(name: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "POST" and sent(request).get("operationName") == name


def names(watched: WatchedPage) -> list[str]:
    return [sent(request)["operationName"] for request in watched.operations()]


def open_live(watched: WatchedPage, address: str) -> None:
    watched.page.goto(address)
    expect(receipt(watched.page)).to_contain_text("live · ")


def hide(page: Page, *, is_hidden: bool) -> None:
    page.evaluate(f"""() => {{
      Object.defineProperty(document, 'hidden', {{ value: {str(is_hidden).lower()}, configurable: true }});
      document.dispatchEvent(new Event('visibilitychange'));
    }}""")


@contextmanager
def all_streams_of_the_caller(url: str) -> Iterator[None]:
    """As many open streams as one caller may have."""
    headers = {"authorization": f"Bearer {TOKEN}", "accept": "text/event-stream"}
    body = {"query": "subscription { gallery { projects { pendingImages } } }"}
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client())
        for _ in range(20):
            stream = http.stream("POST", f"{url}/graphql", json=body, headers=headers)
            assert stack.enter_context(stream).status_code == 200
        yield


def test_a_project_goes_from_pending_to_done_with_no_request_but_the_stream(
    world: World, watched: WatchedPage
) -> None:
    page = watched.page
    open_live(watched, world.address)
    total = number(page, "Images").inner_text()
    pictures = page.locator(".image figure > .frame:is([data-state=shown], [data-state=loading])")
    assert 0 < pictures.count() < int(total)

    world.clock.now += 60
    expect(page.locator(".image .status.is-processing")).not_to_have_count(0)
    before = number(page, "Completed").inner_text()
    world.clock.now += RUN_IS_DONE_SECONDS - RUN_IS_HALF_DONE_SECONDS - 60

    expect(number(page, "To come")).to_have_text("0")
    completed, failed = (int(number(page, term).inner_text()) for term in ("Completed", "Failed"))
    assert int(before) < completed
    assert completed + failed == int(total)
    expect(page.locator(".image .status.is-completed")).to_have_count(completed)
    expect(pictures).to_have_count(completed)
    assert names(watched) == ["OneProject", "LiveOneProject"]
    assert watched.complaints == []


def test_the_stream_is_closed_when_all_is_done(world: World, watched: WatchedPage) -> None:
    open_live(watched, world.address)
    stream = watched.operations("LiveOneProject")[0]

    with watched.page.expect_event("requestfailed", lambda request: request == stream):
        world.clock.now += RUN_IS_DONE_SECONDS - RUN_IS_HALF_DONE_SECONDS

    expect(number(watched.page, "To come")).to_have_text("0")


def test_pictures_that_are_made_meanwhile_are_shown(world: World, watched: WatchedPage) -> None:
    page = watched.page
    open_live(watched, f"{world.address}&status=completed")
    images = page.locator(".image")
    before = images.count()

    world.clock.now += 100

    expect(images).not_to_have_count(before)
    images.last.scroll_into_view_if_needed()
    wait_for(page, "[...document.querySelectorAll('.image .frame img')].at(-1).naturalWidth > 0", wanted=True)
    assert names(watched) == ["OneProject", "LiveOneProject"]


def test_the_cards_of_the_gallery_follow_a_stream_too(world: World, watched: WatchedPage) -> None:
    page = watched.page
    open_live(watched, "/?ownership=MINE&perPage=6")
    card = cards(page).filter(has=page.locator(f"[data-project='{world.live_project}']"))
    counters = card.locator(".counters")
    expect(counters).to_contain_text("to come")

    world.clock.now += RUN_IS_DONE_SECONDS - RUN_IS_HALF_DONE_SECONDS

    expect(counters).not_to_contain_text("to come")
    assert names(watched) == ["GalleryPage", "LiveGalleryPage"]


def test_progress_is_shown_within_a_second_of_the_call_that_can_see_it(
    world: World, watched: WatchedPage
) -> None:
    open_live(watched, world.address)
    milliseconds = []

    # The shortest of three, since the machine may be busy.
    for _ in range(3):
        watched.page.evaluate(_KEEP_TIME_OF_CHANGE)
        before = number(watched.page, "Completed").inner_text()
        world.clock.now += 40
        moved_at = time.time()
        expect(number(watched.page, "Completed")).not_to_have_text(before)
        called_at = next(moment for moment in world.endpoint.called_at if moment >= moved_at)
        milliseconds.append(watched.page.evaluate("window.changedAt") - 1000 * called_at)

    assert min(milliseconds) < 1000


def test_the_receipt_shows_what_each_event_cost(world: World, watched: WatchedPage) -> None:
    open_live(watched, world.address)

    world.clock.now += 20

    expect(receipt(watched.page)).to_have_text(
        re.compile(r"^LiveOneProject\s*live · 1 upstream call · [\d.]+ kB$")
    )
    receipt(watched.page).click()
    lines = watched.page.locator(".receipt").nth(1).locator("dl")
    expect(lines).to_contain_text("Response to this page")
    expect(lines).not_to_contain_text("Waiting time")


def test_an_event_of_the_gallery_shows_how_far_its_call_was_narrowed(watched: WatchedPage) -> None:
    open_live(watched, "/?perPage=6")

    expect(receipt(watched.page)).to_contain_text("narrowed 300 → 30 images")


def test_the_subscription_opens_in_graphiql(watched: WatchedPage) -> None:
    open_live(watched, "/?perPage=6")
    receipt(watched.page).click()

    watched.page.get_by_role("link", name="Open in GraphiQL").click()

    expect(watched.page.get_by_label("Query Editor")).to_contain_text("subscription LiveGalleryPage(")


def test_a_caller_with_too_many_streams_polls_until_one_is_free(world: World, timed: WatchedPage) -> None:
    page = timed.page
    with all_streams_of_the_caller(world.url):
        with page.expect_response(lambda response: response.status == 429):
            page.goto(world.address)
        page.clock.run_for(3_000)
        expect(receipt(page)).to_contain_text("OneProject")
        expect(receipt(page)).to_contain_text("every 3 s")
        before = number(page, "Completed").inner_text()
        world.clock.now += 60
        # The page of before is no longer fresh.
        time.sleep(1)
        page.clock.run_for(3_000)
        expect(number(page, "Completed")).not_to_have_text(before)

    # The first stream after that may come before the gateway has noticed that the others are gone.
    page.clock.run_for(30_000)

    expect(receipt(page)).to_contain_text("live")


@pytest.mark.parametrize("treatment", ["refuses", "holds everything", "holds events"])
def test_where_no_event_arrives_the_page_polls_and_tries_again_later(
    world: World, timed: WatchedPage, treatment: str
) -> None:
    page = timed.page
    world.line.treatment = treatment
    with page.expect_request(is_operation("LiveOneProject")):
        page.goto(world.address)

    # Until the page gives up the stream, and then until it polls.
    with page.expect_request(is_operation("OneProject")):
        page.clock.run_for(5_000)
        wait_for(page, "performance.now() > 5000", wanted=True)
        page.clock.run_for(3_000)
    expect(receipt(page)).to_contain_text("every 3 s")

    world.line.treatment = "passes"
    with page.expect_request(is_operation("LiveOneProject")):
        page.clock.run_for(10_000)
    expect(receipt(page)).to_contain_text("live")


def test_after_an_answer_a_broken_stream_is_opened_again_without_polling(
    world: World, timed: WatchedPage
) -> None:
    page = timed.page
    open_live(timed, world.address)
    before = number(page, "Completed").inner_text()
    world.line.treatment = "breaks"
    with page.expect_event("requestfailed", is_operation("LiveOneProject")):
        world.clock.now += 60
    world.line.treatment = "passes"

    with page.expect_request(is_operation("LiveOneProject")):
        # The longest time that the gateway asks clients to wait.
        page.clock.run_for(5_000)

    expect(number(page, "Completed")).not_to_have_text(before)
    assert names(timed) == ["OneProject", "LiveOneProject", "LiveOneProject"]


def test_a_stream_that_falls_silent_is_opened_again(world: World, timed: WatchedPage) -> None:
    page = timed.page
    open_live(timed, world.address)

    with page.expect_request(is_operation("LiveOneProject")):
        # Faster than the heartbeats of the gateway, whose time is another.
        page.clock.run_for(30_000)
        wait_for(page, "performance.now() > 30000", wanted=True)
        page.clock.run_for(5_000)

    expect(receipt(page)).to_contain_text("live")
    assert "OneProject" not in names(timed)[1:]


def test_a_hidden_page_ends_its_stream_and_opens_it_again_when_it_is_seen(
    world: World, timed: WatchedPage
) -> None:
    open_live(timed, world.address)

    with timed.page.expect_event("requestfailed", is_operation("LiveOneProject")):
        hide(timed.page, is_hidden=True)
    timed.page.clock.run_for(60_000)
    assert names(timed) == ["OneProject", "LiveOneProject"]

    with timed.page.expect_request(is_operation("LiveOneProject")):
        hide(timed.page, is_hidden=False)


def test_another_view_ends_the_stream_of_the_last_one(world: World, watched: WatchedPage) -> None:
    open_live(watched, world.address)

    with watched.page.expect_event("requestfailed", is_operation("LiveOneProject")):
        watched.page.get_by_role("link", name="All projects").click()

    expect(receipt(watched.page)).to_contain_text("LiveGalleryPage")


def test_nothing_is_asked_again_when_all_is_done(timed: WatchedPage) -> None:
    timed.page.goto(f"/?project={SETTLED_PROJECT}")
    expect(timed.page.locator(".numbers")).to_be_visible()

    timed.page.clock.run_for(30_000)

    assert names(timed) == ["OneProject"]


def test_a_screen_reader_hears_of_the_end_only(world: World, watched: WatchedPage) -> None:
    page = watched.page
    open_live(watched, world.address)
    page.evaluate(_KEEP_ANNOUNCEMENTS)

    for seconds in (40, 40, RUN_IS_DONE_SECONDS - RUN_IS_HALF_DONE_SECONDS - 80):
        before = number(page, "Completed").inner_text()
        world.clock.now += seconds
        expect(number(page, "Completed")).not_to_have_text(before)

    assert page.evaluate("window.announced") == ["All images are done"]


def test_progress_takes_the_focus_from_nothing(world: World, watched: WatchedPage) -> None:
    page = watched.page
    open_live(watched, "/?perPage=6")
    page.get_by_role("link", name="Next").focus()
    counters = cards(page).locator(".counters")
    before = counters.all_text_contents()

    world.clock.now += 60

    expect(counters).not_to_have_text(before)

    expect(page.get_by_role("link", name="Next")).to_be_focused()


@pytest.mark.parametrize("end", [SIGKILL, SIGTERM], ids=["killed", "terminated"])
def test_the_page_goes_on_when_the_gateway_is_started_again(browser: Browser, end: Any) -> None:
    ports = [free_port(), free_port()]
    options = ("--port", str(ports[0]), "--upstream-port", str(ports[1]))
    with ExitStack() as stack:
        with started_demo(*options) as (process, demo):
            watched = stack.enter_context(page_opener(browser, demo)())
            open_live(watched, "/")
            counters = cards(watched.page).locator(".counters")
            process.send_signal(end)
            process.wait()
        before = counters.all_text_contents()
        stack.enter_context(started_demo(*options))

        with watched.page.expect_response(
            lambda response: is_operation("LiveGalleryPage")(response.request) and response.ok,
            timeout=60_000,
        ):
            pass

        # The next image is made within half a minute.
        expect(counters).not_to_have_text(before, timeout=60_000)
        expect(receipt(watched.page)).to_contain_text("live")
        expect(watched.page.locator(".notice")).to_have_count(0)
