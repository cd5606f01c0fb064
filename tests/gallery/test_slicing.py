"""A slice is what the endpoint would have said to the smaller request, or it is not made."""

import json
from collections.abc import Callable
from copy import copy
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gallery_gateway.gallery.request import GalleryRequest, query_string
from gallery_gateway.gallery.slicing import slice_page, slice_project
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import decoder_for, parse_page
from tests.gallery.endpoints import page_of, parsed_page, sized_projects

SIZES = st.lists(st.integers(min_value=0, max_value=6), max_size=9)
REQUESTS = st.builds(
    GalleryRequest,
    page=st.integers(min_value=1, max_value=5),
    per_page=st.integers(min_value=1, max_value=10),
    max_images_per_project=st.integers(min_value=1, max_value=7),
)


def sliced(sizes: list[int], of: GalleryRequest, to: GalleryRequest) -> Page | None:
    return slice_page(parsed_page(sized_projects(*sizes), of), of=of, to=to)


@given(sizes=SIZES, of=REQUESTS, to=REQUESTS)
def test_a_slice_is_what_the_endpoint_would_have_said(
    sizes: list[int], of: GalleryRequest, to: GalleryRequest
) -> None:
    page = sliced(sizes, of, to)

    assert page is None or page == parsed_page(sized_projects(*sizes), to)


@given(sizes=SIZES, of=REQUESTS, max_images=st.integers(min_value=0, max_value=7))
def test_fewer_images_are_always_found(sizes: list[int], of: GalleryRequest, max_images: int) -> None:
    assert sliced(sizes, of, of.narrowed(max_images)) is not None


@given(sizes=SIZES, of=REQUESTS, to=REQUESTS)
@example(sizes=[], of=GalleryRequest(per_page=5), to=GalleryRequest(per_page=2))
def test_a_page_that_lies_inside_is_always_found(
    sizes: list[int], of: GalleryRequest, to: GalleryRequest
) -> None:
    inside = of.covers(to) and (to.page == 1 or to.start < len(sizes))

    assert not inside or sliced(sizes, of, to) is not None


@given(
    sizes=SIZES.filter(bool),
    of=st.integers(min_value=1, max_value=7),
    to=st.integers(min_value=1, max_value=7),
    place=st.integers(min_value=0, max_value=8),
)
def test_a_project_is_what_the_endpoint_would_have_said(
    sizes: list[int], of: int, to: int, place: int
) -> None:
    projects = sized_projects(*sizes)
    project_id = 1 + place % len(sizes)
    page = GalleryRequest(max_images_per_project=of)
    wanted = GalleryRequest(project_id=project_id, max_images_per_project=to)

    project = slice_project(parsed_page(projects, page).projects[project_id - 1], of=page, to=wanted)

    assert project is None or project == parsed_page(projects, wanted).projects[0]


@given(
    sizes=SIZES.filter(bool),
    of=REQUESTS,
    to=REQUESTS,
    field=st.sampled_from(["page", "per_page", "total", "pages", "has_next", "has_prev"]),
    value=st.one_of(st.none(), st.booleans(), st.integers(-2, 12), st.just("5"), st.just(2.5)),
)
def test_no_pagination_however_damaged_breaks_a_slice(
    sizes: list[int], of: GalleryRequest, to: GalleryRequest, field: str, value: Any
) -> None:
    page = parsed_page(sized_projects(*sizes), of)
    damaged = Page(_replaced(page.pagination, field, value), page.projects)

    cut = slice_page(damaged, of=of, to=to)

    assert (
        cut is None
        or (of.page, of.per_page) == (to.page, to.per_page)
        or cut == parsed_page(sized_projects(*sizes), to)
    )


def test_a_whole_page_is_its_own_slice_whatever_is_wrong_with_it() -> None:
    request = GalleryRequest()
    damaged: Any = [None]
    page = Page(parsed_page(sized_projects(1), request).pagination, damaged)

    assert slice_page(page, of=request, to=copy(request)) is page


@pytest.mark.parametrize("damage", [None, "no project"])
def test_a_damaged_project_is_not_cut(damage: Any) -> None:
    request = GalleryRequest()
    page = Page(parsed_page(sized_projects(1), request).pagination, [damage])

    assert slice_page(page, of=request, to=request.narrowed(1)) is None


def test_a_project_without_a_list_of_images_is_not_cut() -> None:
    request = GalleryRequest()
    page = parsed_page([{**sized_projects(1)[0], "images": []}], request)
    damaged: Any = _replaced(page.projects[0], "images", None)

    assert slice_project(damaged, of=request, to=request.narrowed(1)) is None


def test_slicing_leaves_the_page_as_it_was() -> None:
    of = GalleryRequest(per_page=3)
    page = parsed_page(sized_projects(5, 5, 5), of)

    slice_page(page, of=of, to=GalleryRequest(per_page=1, page=2, max_images_per_project=2))

    assert page == parsed_page(sized_projects(5, 5, 5), of)


Damage = Callable[[Any], None]

# Each makes one value of a page another one than the contract says.
DAMAGES: list[Damage] = [
    lambda _page: None,
    lambda page: page["pagination"].update(total="5"),
    lambda page: page["pagination"].pop("has_next"),
    lambda page: page["projects"].append(None),
    lambda page: page["projects"].append({"project_id": 99}),
    lambda page: page["projects"].append({"project_id": 99, "images": 5}),
    lambda page: page["projects"].append({"project_id": 99, "images": [None] * 9}),
    lambda page: page["projects"].append({"project_id": 99, "images": [{"status": 5}] * 9, "created_by": 5}),
    lambda page: page["projects"].append({"project_id": "99", "project_name": {}, "images": []}),
]


class ImagePlan(msgspec.Struct):
    image_index: Any


class ProjectPlan(msgspec.Struct):
    project_name: Any
    images: list[ImagePlan]


class PagePlan(msgspec.Struct):
    pagination: Any
    projects: list[ProjectPlan]


@given(sizes=SIZES, of=REQUESTS, to=REQUESTS, damage=st.sampled_from(DAMAGES))
def test_what_an_operation_reads_of_a_page_is_cut_as_the_page_is(
    sizes: list[int], of: GalleryRequest, to: GalleryRequest, damage: Damage
) -> None:
    given_page = page_of(sized_projects(*sizes), dict(parse_qsl(query_string(of))))
    damage(given_page)
    body = json.dumps(given_page).encode()

    cut = slice_page(decoder_for(PagePlan)(body), of=of, to=to)

    assert read(cut) == read(slice_page(parse_page(body), of=of, to=to))


def read(page: Any) -> Any:
    """The values that `PagePlan` reads."""
    return page and (
        msgspec.structs.astuple(page.pagination),
        [
            project
            and (project.project_name, [image and image.image_index for image in project.images or ()])
            for project in page.projects
        ],
    )


def _replaced(struct: Any, field: str, value: Any) -> Any:
    values = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return type(struct)(**{**values, field: value})
