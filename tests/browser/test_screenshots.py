"""Pictures of both pages for people to look at: `--screenshots FOLDER` writes them."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.watching import OpenPage, wait_for

# The network is never idle while a page follows a stream.
_PICTURES_IN_VIEW_ARE_LOADED = """[...document.images].every(
  (image) => image.complete || image.getBoundingClientRect().top > innerHeight)"""

DEVICES: dict[str, dict[str, Any]] = {
    "desktop": {"pixels": (1440, 1000)},
    "phone": {"pixels": (390, 844), "is_mobile": True, "has_touch": True, "device_scale_factor": 2},
}


def show_gallery(page: Page) -> None:
    page.goto("/")
    expect(page.locator(".card .frame[data-state=shown]").first).to_be_visible()


def show_project(page: Page) -> None:
    page.goto("/?project=10001")
    expect(page.locator(".image .frame[data-state=shown]").first).to_be_visible()


def show_explorer(page: Page) -> None:
    page.goto("/graphql")
    page.get_by_role("button", name="Execute query").click()
    expect(page.locator(".result-window")).to_contain_text('"total"')


VIEWS = {"gallery": show_gallery, "project": show_project, "explorer": show_explorer}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_picture_is_written(
    screenshots: Path, open_page: OpenPage, view: str, scheme: str, device: str
) -> None:
    path = screenshots / f"{view}-{scheme}-{device}.png"

    with open_page(color_scheme=scheme, **DEVICES[device]) as watched:
        VIEWS[view](watched.page)
        wait_for(watched.page, _PICTURES_IN_VIEW_ARE_LOADED, wanted=True)
        watched.page.screenshot(path=path)

    assert path.stat().st_size > 0
