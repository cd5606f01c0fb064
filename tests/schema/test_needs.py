"""Upstream is asked for no more images than an operation selects, and the answer is the same."""

from typing import Any

import pytest

from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import Client, FakeUpstream, gateway
from tests.gallery.endpoints import caps, indexes, listing


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(8, 3, 0)
    return upstream


GALLERY_CAPS: dict[str, tuple[str, int]] = {
    "no images": ("{ gallery { projects { projectName } } }", 1),
    "no projects": ("{ gallery { pagination { total } } }", 1),
    "only the name of the type": ("{ gallery { __typename projects { __typename } } }", 1),
    "some images": ("{ gallery { projects { images(first: 7) { id } } } }", 7),
    "the names of some images' type": ("{ gallery { projects { images(first: 7) { __typename } } } }", 7),
    "no images of none": ("{ gallery { projects { images(first: 0) { id } } } }", 1),
    "all images": ("{ gallery { projects { images { id } } } }", 50),
    "null for all images": ("{ gallery { projects { images(first: null) { id } } } }", 50),
    "more images than the cap": (
        "{ gallery(maxImagesPerProject: 9) { projects { images(first: 12) { id } } } }",
        9,
    ),
    "the largest alias": (
        "{ gallery { projects { a: images(first: 2) { id } b: images(first: 6) { id } } } }",
        6,
    ),
    "an alias without a limit": (
        "{ gallery(maxImagesPerProject: 33) { projects { a: images(first: 2) { id } b: images { id } } } }",
        33,
    ),
    "two aliases of projects": (
        "{ gallery { a: projects { images(first: 2) { id } } b: projects { images(first: 4) { id } } } }",
        4,
    ),
    "a named fragment": (
        "{ gallery { projects { ...P } } } fragment P on Project { images(first: 3) { id } }",
        3,
    ),
    "an inline fragment": ("{ gallery { projects { ... on Project { images(first: 3) { id } } } } }", 3),
    "an inline fragment without a type": ("{ gallery { ... { projects { images(first: 3) { id } } } } }", 3),
    "a fragment on the interface": (
        "{ gallery { projects { ... on Node { id ... on Project { images(first: 3) { id } } } } } }",
        3,
    ),
    "fragments in fragments": (
        """{ ...Q } fragment Q on Query { gallery { ...G } } fragment G on Gallery { projects { ...P } }
           fragment P on Project { ... on Project { ...I } }
           fragment I on Project { images(first: 4) { id } }""",
        4,
    ),
    "a fragment that is spread twice": (
        """{ gallery { projects { ...P ... on Project { ...P } } } }
           fragment P on Project { images(first: 4) { id } }""",
        4,
    ),
    "what is skipped": (
        "{ gallery { projects { projectName images(first: 9) @skip(if: true) { id } } } }",
        1,
    ),
    "what is not included": (
        "{ gallery { projects { images(first: 2) { id } a: images @include(if: false) { id } } } }",
        2,
    ),
    "a fragment that is not included": (
        """{ gallery { projects { projectName ...P @include(if: false) } } }
           fragment P on Project { images { id } }""",
        1,
    ),
    "projects that are skipped": (
        "{ gallery { pagination { total } projects @skip(if: true) { images { id } } } }",
        1,
    ),
    "a field of projects that is given twice": (
        "{ gallery { projects { projectName } projects { images(first: 5) { id } } } }",
        5,
    ),
    "a field of the root that is given twice": (
        "{ gallery { pagination { total } } gallery { projects { images(first: 5) { id } } } }",
        5,
    ),
    "a field of images that is given twice": (
        "{ gallery { projects { images(first: 5) { id } images(first: 5) { status } } } }",
        5,
    ),
}


@pytest.mark.parametrize(("document", "cap"), GALLERY_CAPS.values(), ids=GALLERY_CAPS)
async def test_a_gallery_asks_upstream_for_what_is_selected(
    ask: Any, upstream: FakeUpstream, document: str, cap: int
) -> None:
    answer = await ask(document)

    assert "errors" not in answer
    assert caps(upstream) == [cap]


VARIABLE_CAPS: dict[str, tuple[str, dict[str, Any], int]] = {
    "first": (
        "query Q($n: Int) { gallery { projects { images(first: $n) { id } } } }",
        {"n": 6},
        6,
    ),
    "first, which is null": (
        "query Q($n: Int) { gallery { projects { images(first: $n) { id } } } }",
        {"n": None},
        50,
    ),
    "first, which is left out": (
        "query Q($n: Int) { gallery { projects { images(first: $n) { id } } } }",
        {},
        50,
    ),
    "first, by default": (
        "query Q($n: Int = 4) { gallery { projects { images(first: $n) { id } } } }",
        {},
        4,
    ),
    "first, in a fragment": (
        """query Q($n: Int!) { gallery { projects { ...P } } }
           fragment P on Project { images(first: $n) { id } }""",
        {"n": 3},
        3,
    ),
    "skip": (
        """query Q($no: Boolean!) {
             gallery { projects { projectName images(first: 9) @skip(if: $no) { id } } } }""",
        {"no": True},
        1,
    ),
    "no skip": (
        """query Q($no: Boolean!) {
             gallery { projects { projectName images(first: 9) @skip(if: $no) { id } } } }""",
        {"no": False},
        9,
    ),
    "include": (
        """query Q($yes: Boolean!) {
             gallery { projects { images(first: 2) { id }
               ... @include(if: $yes) { all: images { id } } } } }""",
        {"yes": True},
        50,
    ),
    "no include": (
        """query Q($yes: Boolean!) {
             gallery { projects { images(first: 2) { id }
               ... @include(if: $yes) { all: images { id } } } } }""",
        {"yes": False},
        2,
    ),
    "the cap": (
        "query Q($cap: Int!) { gallery(maxImagesPerProject: $cap) { projects { images { id } } } }",
        {"cap": 12},
        12,
    ),
}


@pytest.mark.parametrize(("document", "variables", "cap"), VARIABLE_CAPS.values(), ids=VARIABLE_CAPS)
async def test_variables_say_what_is_selected(
    ask: Any, upstream: FakeUpstream, document: str, variables: dict[str, Any], cap: int
) -> None:
    answer = await ask(document, variables)

    assert "errors" not in answer
    assert caps(upstream) == [cap]


PROJECT_CAPS: dict[str, tuple[str, int]] = {
    "no images": ("{ project(projectId: 1) { projectName } }", 1),
    "some images": ("{ project(projectId: 1) { images(first: 2) { id } } }", 2),
    "all images": ("{ project(projectId: 1, maxImages: 40) { images { id } } }", 40),
    "more images than the cap": ("{ project(projectId: 1, maxImages: 4) { images(first: 9) { id } } }", 4),
    "a project in a gallery": ("{ gallery(projectId: 1) { projects { images(first: 2) { id } } } }", 2),
    "a node": (f'{{ node(id: "{project_global_id(1)}") {{ id }} }}', 1),
    "a node's images": (
        f'{{ node(id: "{project_global_id(1)}") {{ id ... on Project {{ images(first: 2) {{ id }} }} }} }}',
        2,
    ),
    "all of a node's images": (
        f'{{ node(id: "{project_global_id(1)}") {{ ...P }} }} fragment P on Project {{ images {{ id }} }}',
        50,
    ),
}


@pytest.mark.parametrize(("document", "cap"), PROJECT_CAPS.values(), ids=PROJECT_CAPS)
async def test_a_project_asks_upstream_for_what_is_selected(
    ask: Any, upstream: FakeUpstream, document: str, cap: int
) -> None:
    answer = await ask(document)

    assert "errors" not in answer
    assert caps(upstream) == [cap]


@pytest.mark.parametrize("document", [document for document, _ in GALLERY_CAPS.values()], ids=GALLERY_CAPS)
async def test_narrowing_does_not_change_the_answer(ask: Any, upstream: FakeUpstream, document: str) -> None:
    async with gateway(upstream, narrowing=False) as plain:
        expected = await plain.ask(document)

    answer = await ask(document)

    assert answer == expected


async def test_each_alias_gets_its_own_number_of_images(ask: Any) -> None:
    answer = await ask(
        """{ gallery { projects {
             none: images(first: 0) { imageIndex } two: images(first: 2) { imageIndex }
             five: images(first: 5) { imageIndex } } } }"""
    )

    first, second, third = answer["data"]["gallery"]["projects"]
    assert [indexes(first, key) for key in ("none", "two", "five")] == [[], [0, 1], [0, 1, 2, 3, 4]]
    assert [indexes(second, key) for key in ("none", "two", "five")] == [[], [0, 1], [0, 1, 2]]
    assert [indexes(third, key) for key in ("none", "two", "five")] == [[], [], []]


async def test_a_project_that_is_not_selected_fully_keeps_its_counters(ask: Any) -> None:
    answer = await ask("{ project(projectId: 1) { totalImages } }")

    assert answer == {"data": {"project": {"totalImages": 8}}}


async def test_a_negative_number_of_images_is_refused_for_each_project(client: Client) -> None:
    answer = await client.ask("{ gallery { projects { projectName images(first: -1) { id } } } }")

    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


@pytest.mark.parametrize(
    "document",
    [
        "{ gallery(maxImagesPerProject: 44) { projects { projectName } } }",
        "{ project(projectId: 1, maxImages: 44) { images(first: 2) { id } } }",
    ],
)
async def test_a_setting_turns_narrowing_off(upstream: FakeUpstream, document: str) -> None:
    async with gateway(upstream, narrowing=False) as client:
        answer = await client.ask(document)

    assert "errors" not in answer
    assert caps(upstream) == [44]
