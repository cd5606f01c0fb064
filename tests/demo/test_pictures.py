"""Pictures, and the signed links to them."""

from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[httpx.Response]]
Projects = Callable[..., Awaitable[list[dict[str, Any]]]]
# A full minute, so that links carry exactly this time.
SIGNED = 1_790_000_040
LIFETIME_SECONDS = 900


@pytest.fixture
async def link(projects: Projects) -> str:
    [project] = await projects(per_page=1, page=6, status="completed")
    full_size: str = project["images"][0]["output"]["full_size"]
    return full_size


async def test_every_kind_of_link_returns_an_svg_without_a_token(ask: Ask, projects: Projects) -> None:
    [project] = await projects(per_page=1, page=6, status="completed", max_images_per_project=3)
    files = [file for image in project["images"] for file in (*image["inputs"], image["output"])]

    for url in [file[size] for file in files for size in ("full_size", "thumbnail")]:
        answer = await ask(None, path=url)

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        assert ET.fromstring(answer.text).get("viewBox") == "0 0 960 1200"  # noqa: S314 - our own


async def test_pictures_of_every_product_are_well_formed(ask: Ask, projects: Projects) -> None:
    listed = await projects(per_page=100, status="completed", max_images_per_project=1)
    by_product = {p["project_name"].split(" ", 1)[1].split(" SKU")[0]: p for p in listed}

    for project in [project for project in by_product.values() if project["images"]]:
        answer = await ask(None, path=project["images"][0]["output"]["full_size"])
        assert ET.fromstring(answer.text).get("aria-label") == project["project_name"]  # noqa: S314 - our own


async def test_a_thumbnail_is_smaller_than_the_full_size(ask: Ask, projects: Projects) -> None:
    [project] = await projects(per_page=1, page=6, status="completed")
    output = project["images"][0]["output"]

    full_size = ET.fromstring((await ask(None, path=output["full_size"])).text)  # noqa: S314 - our own
    thumbnail = ET.fromstring((await ask(None, path=output["thumbnail"])).text)  # noqa: S314 - our own

    assert (full_size.get("width"), full_size.get("height")) == ("960", "1200")
    assert (thumbnail.get("width"), thumbnail.get("height")) == ("160", "200")


async def test_links_point_to_the_host_of_the_request(ask: Ask) -> None:
    answer = await ask(path="http://127.0.0.1:4001/gallery/by-project")

    url = answer.json()["projects"][0]["images"][0]["inputs"][0]["full_size"]
    assert url.startswith("http://127.0.0.1:4001/pictures/")


async def test_a_link_contains_its_date_and_lifetime_as_in_s3(link: str) -> None:
    query = httpx.URL(link).params

    assert query["X-Amz-Date"] == "20260921T141400Z"
    assert query["X-Amz-Expires"] == str(LIFETIME_SECONDS)


async def test_links_signed_within_a_minute_are_equal(projects: Projects) -> None:
    first = await projects(order="asc", at=SIGNED)

    assert await projects(order="asc", at=SIGNED + 59.9) == first
    assert await projects(order="asc", at=SIGNED + 60) != first


async def test_a_link_works_until_its_last_second(ask: Ask, link: str) -> None:
    answer = await ask(None, path=link, at=SIGNED + LIFETIME_SECONDS - 1)

    assert answer.status_code == 200


async def test_a_link_expires(ask: Ask, link: str) -> None:
    answer = await ask(None, path=link, at=SIGNED + LIFETIME_SECONDS)

    assert answer.status_code == 403
    assert answer.text == "Request has expired."


async def test_a_picture_may_be_cached_until_its_link_expires(ask: Ask, link: str) -> None:
    answer = await ask(None, path=link, at=SIGNED + 100)

    assert answer.headers["cache-control"] == "private, max-age=800"


@pytest.mark.parametrize(
    ("signed", "forged"),
    [
        ("/output/", "/input/"),
        ("full_size", "thumbnail"),
        ("X-Amz-Expires=900", "X-Amz-Expires=9000"),
        ("X-Amz-Date=2026", "X-Amz-Date=2036"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-Signature=", "X-Amz-Signature=é"),
        ("?X-Amz", "?Other"),
        ("X-Amz-Signature=", "Signature="),
    ],
)
async def test_a_changed_link_is_rejected(ask: Ask, link: str, signed: str, forged: str) -> None:
    answer = await ask(None, path=link.replace(signed, forged))

    assert answer.status_code == 403
    assert answer.text == "The signature does not match."


async def test_a_link_of_another_seed_is_rejected(serve: Callable[..., Ask], link: str) -> None:
    assert (await serve(seed=7)(None, path=link)).status_code == 403
