"""The projects of a page, and their order."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[httpx.Response]]
Projects = Callable[..., Awaitable[list[dict[str, Any]]]]


def _ids(projects: list[dict[str, Any]]) -> list[int]:
    return [project["project_id"] for project in projects]


async def test_a_plain_request_lists_the_first_twenty_projects(ask: Ask) -> None:
    body = (await ask()).json()

    pagination = body["pagination"]
    assert len(body["projects"]) == 20
    assert (pagination["page"], pagination["per_page"]) == (1, 20)
    assert (pagination["has_prev"], pagination["has_next"]) == (False, True)
    assert pagination["pages"] == -(-pagination["total"] // 20)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_paging_visits_each_project_once(ask: Ask, all_projects: Projects, order: str) -> None:
    total = (await ask()).json()["pagination"]["total"]

    visited = _ids(await all_projects(per_page=37, order=order, max_images_per_project=1))

    assert len(visited) == total
    assert len(set(visited)) == total


async def test_the_last_page_has_no_next_one(ask: Ask) -> None:
    pages = (await ask(per_page=37)).json()["pagination"]["pages"]

    pagination = (await ask(per_page=37, page=pages)).json()["pagination"]

    assert (pagination["has_prev"], pagination["has_next"]) == (True, False)


@pytest.mark.parametrize(("order", "falls"), [("asc", False), ("desc", True)])
async def test_order_sorts_projects_by_creation(all_projects: Projects, order: str, falls: bool) -> None:
    listed = await all_projects(order=order, max_images_per_project=1)

    # The zone, where there is one, is always UTC.
    days = [project["created_at"][:19] for project in listed]
    assert days == sorted(days, reverse=falls)


async def test_the_newest_projects_come_first_by_default(projects: Projects) -> None:
    assert await projects() == await projects(order="desc")


async def test_project_id_lists_one_project(projects: Projects) -> None:
    wanted = (await projects())[5]

    found = await projects(project_id=wanted["project_id"])

    assert found == [wanted]


async def test_the_first_caller_sees_a_large_catalogue(all_projects: Projects) -> None:
    listed = await all_projects(max_images_per_project=1)

    assert len(listed) >= 240
    assert sum(project["total_images"] for project in listed) >= 5_000


async def test_some_projects_are_empty_and_some_exceed_the_largest_cap(
    all_projects: Projects,
) -> None:
    sizes = [project["total_images"] for project in await all_projects(max_images_per_project=1)]

    assert sizes.count(0) >= 3
    assert sum(size > 200 for size in sizes) >= 3


async def test_the_largest_page_is_answered(ask: Ask) -> None:
    body = (await ask(per_page=100, max_images_per_project=200)).json()

    assert len(body["projects"]) == 100
    assert max(len(project["images"]) for project in body["projects"]) == 200


@pytest.mark.parametrize("field", ["project_name", "project_key", "project_id"])
async def test_search_finds_a_project_by(projects: Projects, field: str) -> None:
    wanted = (await projects())[7]

    found = await projects(search=str(wanted[field]))

    assert wanted in found


async def test_search_matches_a_part_of_the_name_in_any_case(all_projects: Projects) -> None:
    everything = await all_projects(max_images_per_project=1)
    silken = [p["project_id"] for p in everything if "silk" in p["project_name"].lower()]

    found = await all_projects(search="SILK", max_images_per_project=1)

    assert silken
    assert _ids(found) == silken


async def test_search_without_a_match_is_an_empty_first_page(ask: Ask) -> None:
    answer = await ask(search="no such thing")

    assert answer.json() == {
        "pagination": {
            "page": 1, "per_page": 20, "total": 0, "pages": 0, "has_next": False, "has_prev": False,
        },
        "projects": [],
    }  # fmt: skip


async def test_the_same_seed_generates_the_same_catalogue(serve: Callable[..., Ask]) -> None:
    first = await serve(seed=7)()
    second = await serve(seed=7)()

    assert first.content == second.content


async def test_another_seed_generates_another_catalogue(serve: Callable[..., Ask]) -> None:
    first = await serve(seed=7)()
    second = await serve(seed=8)()

    assert first.content != second.content


async def test_one_project_has_an_id_beyond_32_bits(all_projects: Projects) -> None:
    large = [each for each in await all_projects("cleo") if each["project_id"] > 2**31]

    assert [each["project_id"] for each in large] == [3_000_000_001]
    assert large[0]["images"]
