from typing import Any

import pytest

from gallery_gateway.gallery.request import GalleryRequest


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

    assert list(request.parameters()) == [
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
