from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.request import GalleryRequest, query_string
from gallery_gateway.schema.cursors import list_hash
from gallery_gateway.shared.pages import PageKeys


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ({"page": 1, "per_page": 20, "order": "desc"}, {}),
        ({"feedback": ("b", "a", "b")}, {"feedback": ("a", "b")}),
        ({"feedback": ()}, {}),
        ({"feedback": ("",)}, {}),
        ({"search": ""}, {"search": None}),
        ({"status": ""}, {"status": None}),
    ],
)
def test_requests_that_mean_the_same_are_one_key(spelled: Any, canonical: Any) -> None:
    assert GalleryRequest(**spelled) == GalleryRequest(**canonical)
    assert hash(GalleryRequest(**spelled)) == hash(GalleryRequest(**canonical))


@pytest.mark.parametrize(
    "changed",
    [
        {"page": 2},
        {"per_page": 21},
        {"order": "asc"},
        {"project_id": 0},
        {"status": "failed"},
        {"feedback": ("like",)},
        {"sort_by": "quality_score"},
        {"ownership": "mine"},
        {"max_images_per_project": 49},
        {"search": "x"},
    ],
)
def test_requests_that_differ_in_one_parameter_are_two_keys(changed: Any) -> None:
    assert GalleryRequest(**changed) != GalleryRequest()


def test_what_is_null_is_left_out_and_feedback_is_repeated() -> None:
    request = GalleryRequest(project_id=0, feedback=("like", "dislike"), search="a b")

    assert parse_qsl(query_string(request)) == [
        ("page", "1"),
        ("per_page", "20"),
        ("order", "desc"),
        ("project_id", "0"),
        ("feedback", "dislike"),
        ("feedback", "like"),
        ("sort_by", "original_filename"),
        ("max_images_per_project", "50"),
        ("search", "a b"),
    ]


OTHER_VALUES: dict[str, object] = {
    "page": 2,
    "per_page": 21,
    "order": "asc",
    "project_id": 7,
    "status": "completed",
    "feedback": ("liked",),
    "sort_by": "quality_score",
    "ownership": "shared",
    "max_images_per_project": 51,
    "search": "coat",
    "keeps_cap": True,
    "keeps_window": True,
}
WINDOW = {"page", "per_page", "max_images_per_project"}
DERIVED = {"listing", "images", "max_images", "start", "stop"}
FIELDS = [field.name for field in msgspec.structs.fields(GalleryRequest) if field.name not in DERIVED]


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_tells_requests_apart(name: str) -> None:
    """A new REST parameter without a value here fails, and so does one that a key leaves out."""
    plain, other = GalleryRequest(), GalleryRequest(**{name: OTHER_VALUES[name]})  # type: ignore[arg-type]

    assert plain != other
    assert hash(plain) != hash(other)
    # Under which the processes share it.
    assert PageKeys.of(CallerKey(b"k"), repr(plain)) != PageKeys.of(CallerKey(b"k"), repr(other))
    assert (plain.listing == other.listing) == (name in WINDOW)
    assert (query_string(plain) == query_string(other)) == name.startswith("keeps_")
    # The order of images and the cap do not change the list of projects, nor its cursors.
    assert (list_hash(plain) == list_hash(other)) == (
        name in WINDOW | {"sort_by", "keeps_cap", "keeps_window"}
    )


@pytest.mark.parametrize("name", FIELDS)
def test_a_page_answers_no_request_that_differs_in_more_than_its_window(name: str) -> None:
    other = GalleryRequest(**{name: OTHER_VALUES[name]})  # type: ignore[arg-type]

    covers = GalleryRequest(per_page=60, max_images_per_project=60).covers(other)

    assert covers == (name in WINDOW)
