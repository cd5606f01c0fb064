from typing import Any

import httpx
import pytest

from tests.edge.sending import GRAPHQL_RESPONSE, JSON, codes
from tests.fakes import Client, FakeUpstream, image_body, page_body, project_body

BOTH = """{
  first: gallery(page: 1) { pagination { total } }
  second: gallery(page: 2) { pagination { total } }
}"""


def second_page_is_down(request: httpx.Request) -> httpx.Response:
    if request.url.params.get("page") == "2":
        return httpx.Response(503)
    return httpx.Response(200, json=page_body())


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_one_failed_field_leaves_the_other_answered(
    client: Client, upstream: FakeUpstream, accept: str
) -> None:
    upstream.handler = second_page_is_down

    response = await client.post(BOTH, headers={"accept": accept})

    assert response.status_code == 200
    assert response.json()["data"] == {"first": {"pagination": {"total": 1}}, "second": None}
    assert codes(response) == ["UPSTREAM_UNAVAILABLE"]
    assert response.json()["errors"][0]["path"] == ["second"]


async def test_one_argument_out_of_range_leaves_the_other_field_answered(
    client: Client, upstream: FakeUpstream
) -> None:
    response = await client.post(BOTH.replace("page: 2", "page: 0"))

    assert response.json()["data"] == {"first": {"pagination": {"total": 1}}, "second": None}
    assert codes(response) == ["BAD_USER_INPUT"]
    assert len(upstream.requests) == 1


async def test_a_field_that_failed_is_asked_for_again_by_the_next_operation(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.handler = second_page_is_down
    await client.ask(BOTH)
    upstream.answer(json=page_body())

    answer = await client.ask(BOTH)

    assert "errors" not in answer
    assert answer["data"]["second"] == {"pagination": {"total": 1}}


@pytest.mark.parametrize(
    ("field", "value", "shown", "has_error"),
    [
        ("project_name", 7, "7", False),
        ("project_name", True, "true", False),
        ("project_name", ["a"], None, True),
        ("total_images", "35", 35, False),
        ("total_images", True, 1, False),
        ("total_images", "many", None, True),
        ("total_images", 0.5, None, True),
        ("quality_score", "0.5", 0.5, False),
        ("quality_score", "good", None, True),
        ("detail_needs_review", 2, True, False),
        ("detail_needs_review", "true", None, True),
        ("output", "none", None, False),
        # The `id` of REST.
        ("id", "7", None, True),
    ],
)
async def test_a_mistyped_value_is_converted_or_null(
    client: Client, upstream: FakeUpstream, field: str, value: Any, shown: Any, *, has_error: bool
) -> None:
    is_of_project = field in {"project_name", "total_images"}
    image = image_body() if is_of_project else image_body(**{field: value})
    project = project_body(7, image, **({field: value} if is_of_project else {}))
    upstream.answer(json=page_body(project))

    answer = await client.ask(
        """{ gallery { projects { project_name: projectName total_images: totalImages images {
               id: resultId quality_score: qualityScore detail_needs_review: detailNeedsReview
               output { thumbnail } } } } }"""
    )

    (found,) = answer["data"]["gallery"]["projects"]
    assert (found if is_of_project else found["images"][0])[field] == shown
    assert [error["extensions"]["code"] for error in answer.get("errors", [])] == (
        ["UPSTREAM_CONTRACT"] if has_error else []
    )


@pytest.mark.parametrize(
    ("selected", "project"),
    [
        ("id", project_body("7")),  # type: ignore[arg-type]  # the fault
        ("projectId", project_body("7")),  # type: ignore[arg-type]  # the fault
        ("images { id }", project_body(7, image_body(version="0"))),
    ],
)
async def test_an_identity_of_another_type_costs_its_project(
    client: Client, upstream: FakeUpstream, selected: str, project: dict[str, Any]
) -> None:
    upstream.answer(json=page_body(project, project_body(8)))

    answer = await client.ask(f"{{ gallery {{ projects {{ {selected} }} }} }}")

    first, second = answer["data"]["gallery"]["projects"]
    assert first is None
    assert second is not None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UPSTREAM_CONTRACT"]
