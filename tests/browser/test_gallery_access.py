import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.views import SETTLED_PROJECT, span, summary
from tests.browser.watching import OpenPage

PHONE_PIXELS = (360, 740)

_UNLABELLED = """[...document.querySelectorAll('input, select, textarea, button')]
  .filter((control) => !control.labels?.length && !control.ariaLabel && !control.innerText)
  .map((control) => control.outerHTML)"""
_WITHOUT_ALT = "[...document.images].filter((image) => !image.hasAttribute('alt')).length"
_COLOURS = """(() => {
  const style = getComputedStyle(document.documentElement);
  const names = ['paper', 'surface', 'sunken', 'ink', 'muted', 'accent', 'bad', 'control-line'];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
})()"""


@pytest.fixture
def gallery(page: Page) -> Page:
    page.goto("/?perPage=6")
    summary(page).wait_for()
    return page


@pytest.fixture(scope="module")
def phone(open_page: OpenPage) -> Iterator[Page]:
    with open_page(pixels=PHONE_PIXELS, is_mobile=True, has_touch=True) as watched:
        yield watched.page


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance, of `#rrggbb`."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("path", ["/?perPage=6", f"/?project={SETTLED_PROJECT}", "/?page=0"])
def test_every_control_has_a_label(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator(".receipt").first).to_be_visible()

    unlabelled = page.evaluate(_UNLABELLED)

    assert unlabelled == []


@pytest.mark.parametrize("path", ["/?perPage=6", f"/?project={SETTLED_PROJECT}"])
def test_every_image_has_an_alternative(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator(".frame img").first).to_be_attached()

    without = page.evaluate(_WITHOUT_ALT)

    assert without == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto("/?perPage=6")

    colours = page.evaluate(_COLOURS)

    pairs = [(text, ground) for text in ("ink", "muted", "accent", "bad") for ground in ("paper", "surface")]
    pairs += [("muted", "sunken"), ("bad", "sunken")]

    # WCAG 2.2, 1.4.3, and 1.4.11 for the edges of controls.
    assert all(contrast(colours[text], colours[ground]) >= 4.5 for text, ground in pairs)
    assert contrast(colours["control-line"], colours["paper"]) >= 3


@pytest.mark.parametrize("path", ["/?perPage=6", f"/?project={SETTLED_PROJECT}", "/?search=nothing"])
def test_a_phone_never_scrolls_sideways(phone: Page, path: str) -> None:
    phone.goto(path)
    phone.locator(".receipt summary").first.click()
    phone.get_by_role("button", name="Filters", exact=True).click()

    wide = phone.evaluate("document.documentElement.scrollWidth")

    assert wide == PHONE_PIXELS[0]


def test_the_first_tab_stop_skips_to_the_pictures(gallery: Page) -> None:
    gallery.keyboard.press("Tab")
    gallery.keyboard.press("Enter")

    expect(gallery.locator("main")).to_be_focused()


def test_the_keyboard_reaches_everything(gallery: Page) -> None:
    reached = set()

    for _ in range(40):
        gallery.keyboard.press("Tab")
        reached.add(gallery.evaluate("document.activeElement.name || document.activeElement.className"))
        reached.add(gallery.evaluate("document.activeElement.innerText"))

    filters = {"as", "search", "ownership", "feedback", "status", "order", "sortBy", "perPage"}
    assert filters | {"GraphiQL", "Next"} <= reached


def test_the_focus_can_be_seen(gallery: Page) -> None:
    gallery.get_by_label("Search projects").focus()
    gallery.keyboard.press("Tab")

    outline = gallery.evaluate("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle")

    assert outline == "solid"


def test_opening_a_project_moves_the_focus_to_its_name(gallery: Page) -> None:
    gallery.locator(".card a").first.focus()

    gallery.keyboard.press("Enter")

    expect(gallery.locator(".project h1")).to_be_focused()


def test_the_way_back_moves_the_focus_to_the_project_one_comes_from(gallery: Page) -> None:
    link = gallery.locator(".card a").nth(2)
    name = link.inner_text()
    link.click()
    expect(gallery.locator(".project h1")).to_be_focused()

    gallery.go_back()

    expect(gallery.get_by_role("link", name=name, exact=True)).to_be_focused()


def test_changes_are_announced_to_a_screen_reader(gallery: Page) -> None:
    status = gallery.get_by_role("status")

    expect(status).to_have_text(re.compile(rf"^{span(1, 6)} \d+ projects$"))


def test_nothing_moves_for_those_who_asked_for_that(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto("/?perPage=6")
    summary(page).wait_for()

    moving = page.evaluate("document.getAnimations().length")

    assert moving == 0
