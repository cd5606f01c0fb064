"""The images of a project: filters, order, cap, counters and the variety of fields."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

Projects = Callable[..., Awaitable[list[dict[str, Any]]]]
IDENTITY = ("job_id", "image_index", "group_index", "version")
NEWER = {"id", "model_used", "detail_needs_review", "detail_review_reason"}


def _images(projects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [image for project in projects for image in project["images"]]


def _identity(image: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(image[part] for part in IDENTITY)


@pytest.mark.parametrize("status", ["pending", "processing", "completed", "failed"])
async def test_status_lists_images_of_that_status_only(projects: Projects, status: str) -> None:
    listed = _images(await projects(status=status))

    assert {image["status"] for image in listed} == {status}


async def test_an_unknown_status_lists_no_image(projects: Projects) -> None:
    assert _images(await projects(status="dreaming")) == []


async def test_feedback_lists_images_of_that_feedback_only(projects: Projects) -> None:
    listed = _images(await projects(feedback="dislike"))

    assert {image["feedback"] for image in listed} == {"dislike"}


async def test_repeated_feedback_lists_images_of_either(projects: Projects) -> None:
    listed = _images(await projects(feedback=["like", "dislike"]))

    assert {image["feedback"] for image in listed} == {"like", "dislike"}


async def test_a_filter_is_applied_before_the_cap(projects: Projects) -> None:
    whole = [p for p in await projects(max_images_per_project=200) if p["total_images"] <= 200]

    capped = await projects(feedback="like", max_images_per_project=2)

    liked = {
        project["project_id"]: [i for i in project["images"] if i["feedback"] == "like"][:2]
        for project in whole
    }
    assert {p["project_id"]: p["images"] for p in capped if p["total_images"] <= 200} == liked


@pytest.mark.parametrize(("order", "falls"), [("asc", False), ("desc", True)])
@pytest.mark.parametrize("field", ["original_filename", "quality_score"])
async def test_images_are_sorted_in_order_with_nulls_last_and_ties_by_identity(
    projects: Projects, field: str, order: str, falls: bool
) -> None:
    for project in await projects(sort_by=field, order=order, max_images_per_project=200):
        images = project["images"]

        expected = sorted(images, key=_identity)
        valued = [image for image in expected if image[field] is not None]
        valued.sort(key=lambda image: image[field], reverse=falls)
        assert images == valued + [image for image in expected if image[field] is None]


async def test_images_are_sorted_by_filename_by_default(projects: Projects) -> None:
    assert await projects() == await projects(sort_by="original_filename")


async def test_some_scores_and_filenames_are_null(projects: Projects) -> None:
    done = _images(await projects(status="completed", per_page=100))

    assert {None} < {image["quality_score"] for image in done}
    assert {None} < {image["original_filename"] for image in done}


async def test_the_cap_keeps_the_first_images_of_each_project(projects: Projects) -> None:
    whole = await projects(max_images_per_project=200)

    capped = await projects(max_images_per_project=3)

    for project in whole:
        project["images"] = project["images"][:3]
    assert capped == whole


async def test_at_most_fifty_images_are_listed_by_default(projects: Projects) -> None:
    assert max(len(project["images"]) for project in await projects()) == 50


async def test_counters_count_all_images_of_the_project(all_projects: Projects) -> None:
    for project in await all_projects(max_images_per_project=200):
        if project["total_images"] > 200:
            continue
        statuses = Counter(image["status"] for image in project["images"])
        assert project["total_images"] == len(project["images"])
        assert project["completed_images"] == statuses["completed"]
        assert project["failed_images"] == statuses["failed"]


@pytest.mark.parametrize("narrowing", [{"status": "failed"}, {"max_images_per_project": 1}])
async def test_counters_ignore_filter_and_cap(projects: Projects, narrowing: dict[str, Any]) -> None:
    def without_images(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**project, "images": None} for project in listed]

    assert without_images(await projects(**narrowing)) == without_images(await projects())


async def test_identities_are_unique_and_filenames_are_not(all_projects: Projects) -> None:
    images = _images(await all_projects(max_images_per_project=200))

    assert len({_identity(image) for image in images}) == len(images)
    assert len({image["original_filename"] for image in images}) < 20


async def test_result_ids_are_unique_and_fit_a_graphql_int(all_projects: Projects) -> None:
    images = _images(await all_projects(max_images_per_project=200))

    ids = [image["id"] for image in images if "id" in image]
    assert len(set(ids)) == len(ids)
    assert max(ids) < 2**31


async def test_failed_images_have_an_error_and_no_output(projects: Projects) -> None:
    failed = _images(await projects(status="failed"))

    assert failed
    assert all(image["error_message"] and image["output"] is None for image in failed)


async def test_newer_projects_have_the_newer_fields(projects: Projects) -> None:
    newer = _images(await projects(order="desc", status="completed"))

    assert all(set(image) >= NEWER for image in newer)
    assert all(image["inputs"][0]["uuid"] and image["output"]["uuid"] for image in newer)


async def test_older_projects_lack_the_newer_fields(projects: Projects) -> None:
    older = _images(await projects(order="asc", status="completed"))

    assert not any(set(image) & NEWER for image in older)
    assert not any("uuid" in image["inputs"][0] or "uuid" in image["output"] for image in older)


async def test_images_have_from_one_to_four_inputs(projects: Projects) -> None:
    counts = {len(image["inputs"]) for image in _images(await projects())}

    assert counts == {1, 2, 3, 4}


async def test_images_come_in_variations_and_versions(projects: Projects) -> None:
    images = _images(await projects())

    assert {image["group_index"] for image in images} == {0, 1}
    assert {image["version"] for image in images} == {0, 1, 2}


async def test_free_form_fields_take_several_shapes(projects: Projects) -> None:
    images = _images(await projects(per_page=100))

    assert {type(image["retouch_claim"]) for image in images} >= {dict, list, str, type(None)}
    assert {type(image["input_description"]) for image in images} == {dict, type(None)}
    assert {type(image["review_annotations"]) for image in images} == {list, type(None)}


async def test_some_comments_are_not_ascii(projects: Projects) -> None:
    comments = [image["feedback_comment"] or "" for image in _images(await projects())]

    assert not all(comment.isascii() for comment in comments)
