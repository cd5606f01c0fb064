"""Live projects, which change with the clock."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from gallery_gateway.demo.projects import CYCLE_SECONDS

pytestmark = pytest.mark.anyio

Projects = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def live(projects: Projects) -> dict[str, Any]:
    """A live project at noon."""
    return (await projects(ownership="mine"))[0]


@pytest.fixture
def begun(live: dict[str, Any]) -> float:
    """The start of its run, in seconds since 1970."""
    return datetime.fromisoformat(live["created_at"]).timestamp()


def _statuses(project: dict[str, Any]) -> set[str]:
    return {image["status"] for image in project["images"]}


async def test_a_run_begins_with_everything_pending(
    projects: Projects, live: dict[str, Any], begun: float
) -> None:
    [project] = await projects(project_id=live["project_id"], at=begun)

    assert _statuses(project) == {"pending"}
    assert (project["completed_images"], project["failed_images"]) == (0, 0)


async def test_a_run_passes_through_every_state(
    projects: Projects, live: dict[str, Any], begun: float
) -> None:
    [project] = await projects(project_id=live["project_id"], at=begun + 120)

    assert _statuses(project) >= {"pending", "processing", "completed"}


async def test_a_run_ends_with_everything_completed_or_failed(
    projects: Projects, live: dict[str, Any], begun: float
) -> None:
    [project] = await projects(project_id=live["project_id"], at=begun + CYCLE_SECONDS - 1)

    assert _statuses(project) <= {"completed", "failed"}
    assert project["completed_images"] + project["failed_images"] == project["total_images"]


async def test_within_a_run_no_image_returns_to_an_earlier_status(
    projects: Projects, live: dict[str, Any], begun: float
) -> None:
    rank = {"pending": 0, "processing": 1, "completed": 2, "failed": 2}
    before: dict[int, int] = {}

    for seconds in range(0, CYCLE_SECONDS, 20):
        [project] = await projects(project_id=live["project_id"], at=begun + seconds)
        now = {image["id"]: rank[image["status"]] for image in project["images"]}
        assert all(now[image] >= known for image, known in before.items())
        before = now


async def test_the_next_run_generates_other_images(
    projects: Projects, live: dict[str, Any], begun: float
) -> None:
    [later] = await projects(project_id=live["project_id"], at=begun + CYCLE_SECONDS)

    assert later["project_key"] == live["project_key"]
    assert later["created_at"] > live["created_at"]
    jobs = {image["job_id"] for image in live["images"]}
    assert not jobs & {image["job_id"] for image in later["images"]}


@pytest.mark.parametrize("caller", ["ada", "ben", "cleo"])
async def test_every_caller_always_has_unfinished_images(projects: Projects, caller: str) -> None:
    for seconds in range(0, CYCLE_SECONDS, 15):
        listed = await projects(caller, ownership="mine", per_page=2, at=1_790_000_040 + seconds)

        unfinished = [
            project["total_images"] - project["completed_images"] - project["failed_images"]
            for project in listed
        ]
        assert sum(unfinished) > 0


async def test_an_unfinished_image_has_no_result(
    projects: Projects, live: dict[str, Any], begun: float
) -> None:
    [project] = await projects(project_id=live["project_id"], at=begun + 120, status="processing")

    for image in project["images"]:
        for field in ("output", "quality_score", "processing_time", "error_message", "feedback"):
            assert image[field] is None


async def test_no_image_is_older_than_its_project(all_projects: Projects) -> None:
    for project in await all_projects(max_images_per_project=5):
        assert all(image["created_at"] >= project["created_at"] for image in project["images"])


async def test_the_images_of_a_run_are_created_when_it_begins(
    live: dict[str, Any], begun: float, projects: Projects
) -> None:
    [project] = await projects(project_id=live["project_id"], at=begun)

    stamps = {datetime.fromisoformat(image["created_at"]) for image in project["images"]}
    assert {stamp.timestamp() for stamp in stamps} == {begun}


async def test_settled_projects_do_not_change(projects: Projects) -> None:
    before = await projects(order="asc", at=1_790_000_040)
    after = await projects(order="asc", at=1_790_000_040 + 59)

    assert before == after
