from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.views import SETTLED_PROJECT, cards, span, summary, wait_for_picture
from tests.browser.watching import OpenPage, WatchedPage, sent

COUNTERS = {"totalImages": 10, "completedImages": 4, "failedImages": 1, "pendingImages": 5}


def project(**fields: object) -> dict[str, object]:
    """One that is being made, without images."""
    created = {"createdAt": "2026-01-02T03:04:05Z", "createdBy": "ada"}
    return {
        "id": "x",
        "projectId": 1,
        "projectName": "Silk scarf",
        "images": [],
        **created,
        **COUNTERS,
    } | fields


def found(project: object) -> dict[str, object]:
    return {"data": {"project": project}}


def answering(**answers: object) -> Callable[[Route], None]:
    """A handler that answers operations by their names, and lets the others through."""

    def answer(route: Route) -> None:
        name = sent(route.request).get("operationName")
        if name in answers:
            route.fulfill(json=answers[name], content_type="application/json")
        else:
            route.fallback()

    return answer


def refused(code: str, **extensions: object) -> dict[str, object]:
    error = {"message": "Because it is so.", "extensions": {"code": code, **extensions}}
    return {"data": {"gallery": None}, "errors": [error]}


@pytest.fixture
def timed(open_page: OpenPage) -> Iterator[WatchedPage]:
    """A page whose time passes only when a test says so; its whole context shares that clock."""
    with open_page() as watched:
        watched.page.clock.install()
        yield watched


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("UNAUTHENTICATED", "Choose another caller"),
        ("UPSTREAM_UNAVAILABLE", "Try again in a moment"),
        ("A_NEW_ONE", "Try again in a moment"),
    ],
)
def test_an_error_is_shown_with_its_code_and_what_to_do(page: Page, code: str, advice: str) -> None:
    page.route("**/graphql", answering(GalleryPage=refused(code)))

    page.goto("/")

    notice = page.locator(".notice")
    expect(notice).to_contain_text("Because it is so.")
    expect(notice).to_contain_text(code)
    expect(notice).to_contain_text(advice)


def test_a_rate_limit_shows_how_long_to_wait(page: Page) -> None:
    page.route("**/graphql", answering(GalleryPage=refused("RATE_LIMITED", retryAfter=7)))

    page.goto("/")

    expect(page.locator(".notice")).to_contain_text("Try again in 7 seconds.")


def test_trying_again_leads_out_of_an_error(page: Page) -> None:
    page.route("**/graphql", answering(GalleryPage=refused("UPSTREAM_TIMEOUT")), times=1)
    page.goto("/")

    page.get_by_role("button", name="Try again").click()

    expect(summary(page)).to_contain_text(span(1, 12))


def test_a_number_out_of_its_range_is_explained_by_the_gateway(page: Page) -> None:
    page.goto("/?page=0")

    expect(page.locator(".notice")).to_contain_text("page must be 1 or more, not 0.")


@pytest.mark.parametrize("answer", ["<p>A proxy</p>", "null", "{}"])
def test_a_response_that_is_not_graphql_is_reported(page: Page, answer: str) -> None:
    page.route("**/graphql", lambda route: route.fulfill(status=502, body=answer))

    page.goto("/")

    expect(page.locator(".notice")).to_contain_text("HTTP 502")


def test_an_unreachable_gateway_is_reported(page: Page) -> None:
    page.route("**/graphql", lambda route: route.abort())

    page.goto("/")

    expect(page.locator(".notice")).to_contain_text("The gateway does not answer")


def test_a_search_without_a_result_offers_to_clear_it(page: Page) -> None:
    page.goto("/?search=nothing is called so")
    expect(page.get_by_role("heading", name="Nothing matches", level=1)).to_be_visible()

    page.get_by_role("link", name="Clear filters").click()

    expect(summary(page)).to_contain_text(span(1, 12))


def test_a_page_after_the_last_one_leads_to_the_last_one(page: Page) -> None:
    page.goto("/?page=999")

    page.get_by_role("link", name="Go to the last page").click()

    expect(page.get_by_role("heading", name="Projects")).to_be_visible()


def test_a_forbidden_project_is_reported(page: Page) -> None:
    page.goto("/?project=999999")

    expect(page.get_by_role("heading", name="No project 999999", level=1)).to_be_visible()


def test_an_answer_without_a_bill_is_shown_as_well(page: Page) -> None:
    pagination = {"page": 1, "pages": 1, "total": 1, "hasNext": False, "hasPrev": False}
    gallery = {"pagination": pagination, "projects": [project(pendingImages=0)]}
    page.route("**/graphql", answering(GalleryPage={"data": {"gallery": gallery}}))

    page.goto("/")

    expect(cards(page)).to_contain_text("Silk scarf")


@pytest.fixture
def growing(timed: WatchedPage) -> WatchedPage:
    """A project of which more is done when it is asked for again."""
    later = {"completedImages": 6, "pendingImages": 3}
    progress = COUNTERS | {"id": "x"} | later
    timed.page.route(
        "**/graphql", answering(ProjectProgress=found(progress), OneProject=found(project(**later)))
    )
    timed.page.route("**/graphql", answering(OneProject=found(project())), times=1)
    timed.page.goto("/?project=1")
    expect(completed(timed.page)).to_have_text("4")
    return timed


def completed(page: Page) -> Locator:
    return page.locator(".numbers div").filter(has_text="Completed").locator("dd")


def test_counters_grow_while_images_are_being_made(growing: WatchedPage) -> None:
    growing.page.clock.run_for(3_000)

    expect(completed(growing.page)).to_have_text("6")


def test_images_are_asked_for_again_when_more_are_done(growing: WatchedPage) -> None:
    with growing.page.expect_request(lambda request: "OneProject" in (request.post_data or "")):
        growing.page.clock.run_for(3_000)

    assert len(growing.operations("OneProject")) == 2


def test_progress_is_asked_for_without_images(timed: WatchedPage) -> None:
    timed.page.route("**/graphql", answering(OneProject=found(project())))
    timed.page.goto("/?project=1")
    expect(timed.page.locator(".numbers")).to_be_visible()

    with timed.page.expect_response("**/graphql"):
        timed.page.clock.run_for(3_000)

    asked = sent(timed.operations("ProjectProgress")[0])
    assert "images" not in asked["query"]


def test_nothing_is_asked_again_when_all_is_done(timed: WatchedPage) -> None:
    timed.page.goto(f"/?project={SETTLED_PROJECT}")
    expect(timed.page.locator(".numbers")).to_be_visible()

    timed.page.clock.run_for(30_000)

    assert len(timed.operations()) == 1


def test_a_hidden_page_sends_no_requests(timed: WatchedPage) -> None:
    timed.page.route("**/graphql", answering(OneProject=found(project())))
    timed.page.goto("/?project=1")
    expect(timed.page.locator(".numbers")).to_be_visible()
    timed.page.evaluate("""() => {
      Object.defineProperty(document, 'hidden', { value: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }""")

    timed.page.clock.run_for(30_000)

    assert len(timed.operations()) == 1


def test_pictures_whose_links_expired_are_fetched_again_and_shown(page: Page, watched: WatchedPage) -> None:
    expired: list[str] = []

    def refuse(route: Route) -> None:
        # Every picture once, as after fifteen minutes.
        path = route.request.url.partition("?")[0]
        if path in expired:
            route.fallback()
        else:
            expired.append(path)
            route.fulfill(status=403)

    page.route("**/pictures/**", refuse)

    page.goto(f"/?project={SETTLED_PROJECT}&status=completed")

    wait_for_picture(page, ".image .frame img")
    renewal = watched.operations("OneProject")[1]
    assert renewal.headers["cache-control"] == "no-cache"


def test_a_picture_that_is_gone_is_asked_for_once_more_only(page: Page, watched: WatchedPage) -> None:
    page.route("**/pictures/**", lambda route: route.fulfill(status=403))

    page.goto(f"/?project={SETTLED_PROJECT}&status=completed")

    expect(page.locator(".image").first).to_contain_text("Picture not available")
    assert len(watched.operations("OneProject")) == 2
