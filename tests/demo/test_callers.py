"""Authentication, and which projects each caller sees."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from gallery_gateway.demo.callers import CALLERS

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[httpx.Response]]
Projects = Callable[..., Awaitable[list[dict[str, Any]]]]


def _ids(projects: list[dict[str, Any]]) -> set[int]:
    return {project["project_id"] for project in projects}


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer nobody", "Basic demo-ada-token", "demo-ada-token"],
)
async def test_without_a_known_token_the_answer_is_an_empty_401(ask: Ask, authorization: str) -> None:
    answer = await ask(None, headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.content == b""


async def test_without_any_header_the_answer_is_an_empty_401(ask: Ask) -> None:
    answer = await ask(None)

    assert answer.status_code == 401
    assert answer.content == b""


async def test_a_request_without_a_token_is_rejected_before_its_parameters_are_parsed(ask: Ask) -> None:
    assert (await ask(None, page=0)).status_code == 401


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
async def test_each_token_lists_projects(ask: Ask, caller: Any) -> None:
    answer = await ask(None, headers={"Authorization": f"bearer {caller.token}"})

    assert answer.json()["projects"]


async def test_mine_lists_own_projects_only(all_projects: Projects) -> None:
    mine = await all_projects(ownership="mine", max_images_per_project=1)

    assert {project["created_by"] for project in mine} == {"ada"}


async def test_shared_lists_projects_of_group_members_only(all_projects: Projects) -> None:
    shared = await all_projects(ownership="shared", max_images_per_project=1)

    assert {project["created_by"] for project in shared} == {"ben"}


async def test_own_and_shared_projects_are_listed_by_default(all_projects: Projects) -> None:
    mine = _ids(await all_projects(ownership="mine", max_images_per_project=1))
    shared = _ids(await all_projects(ownership="shared", max_images_per_project=1))

    assert _ids(await all_projects(max_images_per_project=1)) == mine | shared


async def test_a_project_that_is_not_shared_is_listed_for_its_owner_only(all_projects: Projects) -> None:
    bens = _ids(await all_projects("ben", ownership="mine", max_images_per_project=1))
    shared = _ids(await all_projects("ada", ownership="shared", max_images_per_project=1))

    assert shared < bens


async def test_groups_do_not_see_projects_of_each_other(all_projects: Projects) -> None:
    atelier = _ids(await all_projects("ada", max_images_per_project=1))
    atelier |= _ids(await all_projects("ben", max_images_per_project=1))

    studio = _ids(await all_projects("cleo", max_images_per_project=1))

    assert studio
    assert not studio & atelier


async def test_project_id_does_not_find_a_project_of_another_group(projects: Projects) -> None:
    hers = (await projects("cleo"))[0]["project_id"]

    assert await projects("ada", project_id=hers) == []


async def test_search_does_not_find_a_project_of_another_group(projects: Projects) -> None:
    hers = (await projects("cleo"))[0]["project_key"]

    assert await projects("ada", search=hers) == []
