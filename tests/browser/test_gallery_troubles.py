from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.views import SETTLED_PROJECT, cards, span, summary, wait_for_picture
from tests.browser.watching import WatchedPage, sent

PROJECT = {
    "id": "x",
    "projectId": 1,
    "projectName": "Silk scarf",
    "createdAt": "2026-01-02T03:04:05Z",
    "createdBy": "ada",
    "totalImages": 5,
    "completedImages": 4,
    "failedImages": 1,
    "pendingImages": 0,
    "images": [],
}


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
    gallery = {"pagination": pagination, "projects": [PROJECT]}
    page.route("**/graphql", answering(GalleryPage={"data": {"gallery": gallery}}))

    page.goto("/")

    expect(cards(page)).to_contain_text("Silk scarf")


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
