import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.accessibility import serious_violations
from tests.browser.views import SETTLED_PROJECT, cards, span, summary, wait_for_picture
from tests.browser.watching import OpenPage, WatchedPage, sent


@pytest.fixture
def gallery(page: Page) -> Page:
    page.goto("/?perPage=6")
    cards(page).first.wait_for()
    return page


@pytest.fixture(scope="module")
def tour(open_page: OpenPage) -> Iterator[WatchedPage]:
    """The page after a walk through its views."""
    with open_page() as watched:
        page = watched.page
        page.goto("/?perPage=6")
        page.get_by_label("Mine").check()
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_text("Page 2 of")).to_be_visible()
        first_name(page).click()
        expect(page.locator(".image").first).to_be_visible()
        page.get_by_role("link", name="All projects").click()
        expect(cards(page)).to_have_count(6)
        yield watched


def first_name(page: Page) -> Locator:
    return cards(page).first.get_by_role("link")


def test_the_gallery_complains_about_nothing(tour: WatchedPage) -> None:
    complaints = tour.complaints

    assert complaints == []


def test_the_gallery_asks_no_other_host(tour: WatchedPage) -> None:
    asked = tour.asked_elsewhere()

    assert asked == []


def test_the_gallery_keeps_to_its_content_security_policy(tour: WatchedPage) -> None:
    violations = tour.violations()

    assert violations == []


def test_the_token_is_in_no_address_and_in_no_storage(tour: WatchedPage) -> None:
    stored = tour.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")

    addresses = [tour.page.url, *(request.url for request in tour.requests)]

    assert not any("demo-ada-token" in text for text in [stored, *addresses])


def test_a_card_shows_pictures(gallery: Page) -> None:
    wait_for_picture(gallery, ".card img")


def test_a_card_shows_one_picture_in_full_height_and_four_beside_it(gallery: Page) -> None:
    mosaic = cards(gallery).locator(".mosaic[data-tiles='5']").first

    whole, first, *rest = mosaic.evaluate("(m) => [m, ...m.children].map((part) => part.offsetHeight)")

    assert first == whole
    assert all(0 <= whole - 2 * height <= 4 for height in rest)


def test_a_search_keeps_the_projects_with_that_text(gallery: Page) -> None:
    gallery.get_by_label("Search projects").fill("dress")

    expect(gallery).to_have_url(re.compile(r"\?search=dress&perPage=6$"))
    expect(cards(gallery).filter(has_text="dress")).to_have_count(6)


@pytest.mark.parametrize(("ownership", "owner"), [("Mine", "by ada"), ("Shared", "by ben")])
def test_the_owner_switch_separates_own_projects_from_shared_ones(
    gallery: Page, ownership: str, owner: str
) -> None:
    gallery.get_by_label(ownership).check()

    expect(gallery).to_have_url(re.compile("ownership="))
    expect(cards(gallery).filter(has_text=owner)).to_have_count(6)


def test_another_caller_sees_other_projects(gallery: Page) -> None:
    gallery.get_by_label("cleo").check()

    expect(cards(gallery).filter(has_text="by cleo")).to_have_count(6)


@pytest.mark.parametrize(
    ("label", "choice", "wanted"),
    [
        ("Images", "Failed", {"status": "failed"}),
        ("Order", "Ascending", {"order": "ASC"}),
        ("Images by", "Quality", {"sortBy": "QUALITY_SCORE"}),
        ("Per page", "24", {"perPage": 24}),
    ],
)
def test_what_is_chosen_is_asked_for(
    gallery: Page, watched: WatchedPage, label: str, choice: str, wanted: dict[str, object]
) -> None:
    with gallery.expect_response("**/graphql"):
        gallery.get_by_label(label, exact=True).select_option(label=choice)

    asked = sent(watched.operations("GalleryPage")[-1])["variables"]
    assert asked == {"page": 1, "perPage": 6, "order": "DESC", "sortBy": "ORIGINAL_FILENAME"} | wanted


def test_two_kinds_of_feedback_are_asked_for_together(gallery: Page, watched: WatchedPage) -> None:
    gallery.get_by_label("Liked", exact=True).check()
    gallery.get_by_label("Disliked").check()
    expect(gallery).to_have_url(re.compile("feedback=like&feedback=dislike"))

    asked = sent(watched.operations("GalleryPage")[-1])["variables"]

    assert asked["feedback"] == ["like", "dislike"]


def test_clearing_the_filters_leads_to_all_projects(page: Page) -> None:
    page.goto("/?search=dress&status=failed&ownership=MINE")

    page.get_by_role("button", name="Clear filters").click()

    expect(page).to_have_url(re.compile("/$"))


def test_the_next_page_shows_the_next_projects(gallery: Page) -> None:
    gallery.get_by_role("link", name="Next").click()

    expect(summary(gallery)).to_contain_text(span(7, 12))


def test_the_way_back_leads_to_the_page_before(gallery: Page) -> None:
    gallery.get_by_role("link", name="Next").click()
    expect(summary(gallery)).to_contain_text(span(7, 12))

    gallery.go_back()

    expect(summary(gallery)).to_contain_text(span(1, 6))


def test_a_reload_shows_the_same_view(page: Page) -> None:
    page.goto("/?as=ben&search=dress&page=2&perPage=6")
    expect(summary(page)).to_contain_text(span(7, 12))

    page.reload()

    expect(summary(page)).to_contain_text(span(7, 12))
    expect(page.get_by_label("Search projects")).to_have_value("dress")
    expect(page.get_by_label("ben")).to_be_checked()


def test_a_card_opens_its_project(gallery: Page) -> None:
    name = first_name(gallery).inner_text()

    first_name(gallery).click()

    expect(gallery.get_by_role("heading", level=1)).to_have_text(name)


def test_a_project_shows_its_images_in_full(page: Page) -> None:
    page.goto(f"/?project={SETTLED_PROJECT}&status=completed")

    wait_for_picture(page, ".image .frame img")
    assert page.locator(".image .frame img").first.evaluate("image => image.naturalWidth") == 960


def test_a_failed_image_shows_the_reason(page: Page) -> None:
    page.goto("/?status=failed&perPage=6")
    cards(page).filter(has=page.locator(".is-failed")).first.get_by_role("link").click()

    reason = page.locator(".image .failure").first

    expect(reason).to_have_text(re.compile(r"No garment|could not be read|timed out"))


def test_an_operation_opens_in_graphiql_with_its_variables(page: Page) -> None:
    page.goto("/?search=dress&perPage=6")
    page.locator(".receipt summary").first.click()

    page.get_by_role("link", name="Open in GraphiQL").click()

    expect(page.get_by_label("Query Editor")).to_contain_text("query GalleryPage(")
    expect(page.get_by_label("Variables", exact=True)).to_contain_text('"search": "dress"')


def test_the_usage_report_shows_the_upstream_calls(page: Page, watched: WatchedPage) -> None:
    page.goto("/?search=the bill")
    bill = page.locator(".receipt summary").first

    expect(bill).to_contain_text("1 upstream call")

    assert watched.operations()[0].headers["x-gateway-report"] == "1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", f"/?project={SETTLED_PROJECT}", "/?search=nothing is called so"])
def test_the_page_violates_no_serious_rule_of_accessibility(
    open_page: OpenPage, scheme: str, path: str
) -> None:
    with open_page(color_scheme=scheme) as watched:
        watched.page.goto(path)
        expect(watched.page.get_by_role("heading", level=1)).to_be_visible()

        assert serious_violations(watched.page) == []


def test_values_that_only_the_address_has_are_shown_and_kept(page: Page) -> None:
    page.goto("/?perPage=7&status=unheard")
    expect(page.locator(".receipt").first).to_be_visible()

    expect(page.get_by_label("Images", exact=True)).to_have_value("unheard")
    expect(page.get_by_label("Per page")).to_have_value("7")
    page.get_by_label("Order").select_option("ASC")

    expect(page).to_have_url(re.compile(r"\?status=unheard&order=ASC&perPage=7$"))
