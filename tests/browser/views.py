"""Where things are on the gallery page."""

from playwright.sync_api import Locator, Page

from tests.browser.watching import wait_for

# One that is finished, so that nothing of it changes.
SETTLED_PROJECT = 10_001


def cards(page: Page) -> Locator:
    """The projects, without what stands there while they are awaited."""
    return page.locator(".card:not(.is-placeholder)")


def summary(page: Page) -> Locator:
    """Which projects of how many."""
    return page.locator(".gallery .heading p")


def span(first: int, last: int) -> str:
    """As the summary says it."""
    return f"{first}\N{EN DASH}{last} of"


def wait_for_picture(page: Page, selector: str) -> None:
    wait_for(page, f"document.querySelector('{selector}')?.naturalWidth > 0", wanted=True)
