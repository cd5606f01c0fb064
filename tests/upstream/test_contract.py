"""Responses as structs: both renderings, unknown fields, absent fields."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.upstream.contract import Page, UpstreamImage, UpstreamProject
from gallery_gateway.upstream.decoding import parse_page, parse_rejected_parameter
from gallery_gateway.upstream.identity import ImageIdentity, ProjectIdentity, parse_global_id
from tests.fakes import image_body, page_body, project_body

EXAMPLES = Path(__file__).parent / "examples"

NEWER_IMAGE_FIELDS = {"id", "model_used", "detail_needs_review", "detail_review_reason"}


def parse(body: Any) -> Page:
    return parse_page(json.dumps(body).encode())


def parse_image(**fields: Any) -> UpstreamImage:
    return parse(page_body(project_body(7, image_body(**fields)))).projects[0].images[0]


def parse_project(**fields: Any) -> UpstreamProject:
    return parse(page_body({**project_body(7), **fields})).projects[0]


@pytest.mark.parametrize("name", ["seed.json", "newer.json"])
def test_every_field_of_the_contracts_example_is_read(name: str) -> None:
    body = (EXAMPLES / name).read_bytes()

    page = parse_page(body)

    expected = json.loads(body)
    read = json.loads(msgspec.json.encode(page))
    for project in read["projects"]:
        for image in project["images"]:
            assert set(image) >= NEWER_IMAGE_FIELDS
    assert _restricted(read, to=expected) == expected


def test_the_contracts_error_body_without_a_field_names_no_parameter() -> None:
    body = (EXAMPLES / "invalid-request.json").read_bytes()

    assert parse_rejected_parameter(body) is None


def test_unknown_fields_are_ignored_at_every_level() -> None:
    image = image_body(output={"full_size": "x", "new": [1]}, new={"a": 1})
    body = {**page_body(project_body(7, image, new=None), new=1), "new": "text"}

    page = parse(body)

    assert page == parse(_without_member(body, "new"))


@pytest.mark.parametrize("name", ["result_id", "model_used", "detail_needs_review", "detail_review_reason"])
def test_a_newer_field_that_is_absent_is_null(name: str) -> None:
    image = parse_image()

    assert getattr(image, name) is None


def test_a_field_that_may_be_null_may_be_absent_too() -> None:
    body = page_body({"project_id": 7, "images": []})

    page = parse(body)

    assert page.projects[0].project_name is None


@pytest.mark.parametrize("name", ["input_description", "review_annotations", "retouch_claim"])
@pytest.mark.parametrize(
    "text", ['{"b" : 1,\t"a":1.50}', "[1e2, 12345678901234567890123]", '"\\u00e9 \u00e9"', "0.10", "true"]
)
def test_free_json_is_kept_byte_for_byte(name: str, text: str) -> None:
    body = json.dumps(page_body(project_body(7, {**image_body(), name: "here"})))

    page = parse_page(body.replace('"here"', text).encode())

    assert bytes(getattr(page.projects[0].images[0], name)) == text.encode()


def test_the_id_of_an_image_holds_its_identity() -> None:
    image = parse_image(job_id="a:b", image_index=1, group_index=2, version=3)

    assert parse_global_id(image.id) == ImageIdentity("a:b", 1, 2, 3)


def test_the_id_of_a_project_holds_its_number() -> None:
    project = parse_project()

    assert parse_global_id(project.id) == ProjectIdentity(7)


@pytest.mark.parametrize(
    "fields",
    [{"job_id": None}, {"job_id": 5}, {"image_index": "0"}, {"group_index": None}, {"version": True}],
)
def test_an_image_without_its_identity_has_no_id(fields: dict[str, Any]) -> None:
    image = parse_image(**fields)

    with pytest.raises(UpstreamContractError):
        _ = image.id


@pytest.mark.parametrize("project_id", [None, "7", 7.5, True])
def test_a_project_without_its_number_has_no_id(project_id: object) -> None:
    project = parse_project(project_id=project_id)

    with pytest.raises(UpstreamContractError):
        _ = project.id


@pytest.mark.parametrize(
    ("counters", "pending"),
    [
        ((10, 3, 2), 5),
        ((10, 8, 8), 0),
        ((None, 3, 2), None),
        ((10, None, 2), None),
        ((10, 3, None), None),
        (("10", 3, 2), None),
    ],
)
def test_pending_is_what_is_neither_completed_nor_failed(
    counters: tuple[object, object, object], pending: int | None
) -> None:
    total, completed, failed = counters

    project = parse_project(total_images=total, completed_images=completed, failed_images=failed)

    assert project.pending_images == pending


def test_a_page_cannot_be_changed() -> None:
    image = parse_image()

    with pytest.raises(AttributeError, match="immutable"):
        image.status = "other"  # type: ignore[misc]  # which is the promise


def _restricted(value: Any, *, to: Any) -> Any:
    """`value` with only those members that `to` has."""
    if isinstance(to, dict):
        return {name: _restricted(value[name], to=member) for name, member in to.items()}
    if isinstance(to, list):
        return [_restricted(one, to=other) for one, other in zip(value, to, strict=True)]
    return value


def _without_member(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without_member(member, name) for key, member in value.items() if key != name}
    if isinstance(value, list):
        return [_without_member(item, name) for item in value]
    return value
