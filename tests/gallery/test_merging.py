"""Fields of one operation that ask for the same become one upstream request."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fakes import Client, FakeUpstream, gateway, image_body, page_body, parameters_of, project_body
from tests.gallery.endpoints import caps, indexes, listing


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(8, 3, 1, 0, 2)
    return upstream


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[Client]:
    # Nothing is kept, so that only merging can spare a request.
    async with gateway(upstream, cache_ttl_seconds=0) as client:
        yield client


async def test_fields_that_select_different_images_cost_one_request_for_the_most(
    ask: Any, upstream: FakeUpstream
) -> None:
    answer = await ask(
        """{ names: gallery { projects { projectName } }
             two: gallery { projects { images(first: 2) { imageIndex } } }
             six: gallery { projects { images(first: 6) { imageIndex } } } }"""
    )

    assert [indexes(project) for project in answer["data"]["two"]["projects"]] == [
        [0, 1],
        [0, 1],
        [0],
        [],
        [0, 1],
    ]
    assert indexes(answer["data"]["six"]["projects"][0]) == [0, 1, 2, 3, 4, 5]
    assert len(answer["data"]["names"]["projects"]) == 5
    assert caps(upstream) == [6]


async def test_fields_with_different_caps_get_their_own_slice_of_one_request(
    ask: Any, upstream: FakeUpstream
) -> None:
    answer = await ask(
        """{ three: gallery(maxImagesPerProject: 3) { projects { images { imageIndex } } }
             five: gallery(maxImagesPerProject: 5) { projects { images { imageIndex } } } }"""
    )

    assert indexes(answer["data"]["three"]["projects"][0]) == [0, 1, 2]
    assert indexes(answer["data"]["five"]["projects"][0]) == [0, 1, 2, 3, 4]
    assert caps(upstream) == [5]


async def test_twenty_aliases_of_a_dashboard_cost_one_request(ask: Any, upstream: FakeUpstream) -> None:
    fields = " ".join(
        f"a{n}: gallery(maxImagesPerProject: {n + 1}) {{ projects {{ images {{ imageIndex }} }} }}"
        for n in range(20)
    )

    answer = await ask(f"{{ {fields} }}")

    shown = [len(answer["data"][f"a{n}"]["projects"][0]["images"]) for n in range(20)]
    assert shown == [min(8, n + 1) for n in range(20)]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "argument",
    [
        'status: "failed"',
        'feedback: ["like"]',
        'search: "x"',
        "order: ASC",
        "sortBy: QUALITY_SCORE",
        "ownership: MINE",
        "projectId: 1",
        "page: 2",
    ],
)
async def test_fields_with_different_filters_cost_a_request_each(
    ask: Any, upstream: FakeUpstream, argument: str
) -> None:
    await ask(
        f"""{{ all: gallery {{ pagination {{ total }} }}
               some: gallery({argument}) {{ pagination {{ total }} }} }}"""
    )

    assert len(upstream.requests) == 2


async def test_a_project_on_the_page_beside_it_costs_nothing(ask: Any, upstream: FakeUpstream) -> None:
    answer = await ask(
        """{ project(projectId: 2) { images(first: 2) { imageIndex } }
             gallery { projects { images(first: 4) { imageIndex } } } }"""
    )

    assert indexes(answer["data"]["project"]) == [0, 1]
    assert len(upstream.requests) == 1


async def test_a_project_that_is_not_on_the_page_beside_it_costs_one_more(
    ask: Any, upstream: FakeUpstream
) -> None:
    answer = await ask(
        """{ project(projectId: 5) { projectId }
             gallery(perPage: 2) { projects { projectId } } }"""
    )

    assert answer["data"]["project"] == {"projectId": 5}
    assert len(upstream.requests) == 2


async def test_a_project_that_needs_more_images_than_the_page_beside_it_gets_all_of_them(
    ask: Any, upstream: FakeUpstream
) -> None:
    answer = await ask(
        """{ project(projectId: 1) { images { imageIndex } }
             gallery { projects { images(first: 2) { imageIndex } } } }"""
    )

    assert indexes(answer["data"]["project"]) == list(range(8))
    assert sorted(caps(upstream)) == [2, 50]


@pytest.mark.parametrize("argument", ['status: "failed"', 'feedback: ["like"]', "sortBy: QUALITY_SCORE"])
async def test_a_project_with_other_images_than_the_page_beside_it_costs_a_request(
    ask: Any, upstream: FakeUpstream, argument: str
) -> None:
    await ask(f"{{ project(projectId: 2, {argument}) {{ projectId }} gallery {{ projects {{ id }} }} }}")

    assert len(upstream.requests) == 2


async def test_two_sizes_of_one_project_cost_one_request(ask: Any, upstream: FakeUpstream) -> None:
    answer = await ask(
        """{ small: project(projectId: 1) { images(first: 1) { imageIndex } }
             large: project(projectId: 1) { images(first: 5) { imageIndex } } }"""
    )

    assert indexes(answer["data"]["small"]) == [0]
    assert indexes(answer["data"]["large"]) == [0, 1, 2, 3, 4]
    assert caps(upstream) == [5]


async def test_an_unknown_project_in_both_spellings_costs_one_request(
    ask: Any, upstream: FakeUpstream
) -> None:
    answer = await ask(
        "{ project(projectId: 99) { id } gallery(projectId: 99) { projects { id } pagination { total } } }"
    )

    assert answer["data"] == {"project": None, "gallery": {"projects": [], "pagination": {"total": 0}}}
    assert len(upstream.requests) == 1


async def test_a_larger_page_holds_the_smaller_ones_inside_it(ask: Any, upstream: FakeUpstream) -> None:
    answer = await ask(
        """{ small: gallery(perPage: 2, page: 2) { projects { projectId } pagination { ...all } }
             large: gallery(perPage: 4) { projects { projectId } pagination { ...all } } }
           fragment all on Pagination { page perPage total pages hasNext hasPrev }"""
    )

    assert answer["data"]["small"] == {
        "projects": [{"projectId": 3}, {"projectId": 4}],
        "pagination": {"page": 2, "perPage": 2, "total": 5, "pages": 3, "hasNext": True, "hasPrev": True},
    }
    assert len(upstream.requests) == 1


async def test_a_failing_request_fails_its_own_fields_only(ask: Any, upstream: FakeUpstream) -> None:
    working = listing(8, 3)

    def second_page_is_down(request: httpx.Request) -> Any:
        return httpx.Response(503) if parameters_of(request)["page"] == "2" else working(request)

    upstream.handler = second_page_is_down

    answer = await ask(
        """{ good: gallery { pagination { total } } alsoGood: gallery { projects { projectId } }
             bad: gallery(page: 2) { projects { id } } alsoBad: gallery(page: 2) { pagination { total } } }"""
    )

    assert answer["data"]["good"] == {"pagination": {"total": 2}}
    assert answer["data"]["alsoGood"] == {"projects": [{"projectId": 1}, {"projectId": 2}]}
    assert sorted(error["path"][0] for error in answer["errors"]) == ["alsoBad", "bad"]
    assert len(upstream.requests) == 2


async def test_a_project_is_asked_for_alone_where_the_page_beside_it_fails(
    ask: Any, upstream: FakeUpstream
) -> None:
    working = listing(8, 3)

    def pages_are_down(request: httpx.Request) -> Any:
        return working(request) if "project_id" in parameters_of(request) else httpx.Response(503)

    upstream.handler = pages_are_down

    answer = await ask("{ project(projectId: 2) { projectId } gallery { projects { id } } }")

    assert answer["data"] == {"project": {"projectId": 2}, "gallery": None}
    assert len(upstream.requests) == 2


async def test_fields_of_a_damaged_page_cost_one_request(ask: Any, upstream: FakeUpstream) -> None:
    """One that selects links and one that does not share the call, though the page cannot be sliced."""
    upstream.answer(json=page_body(project_body(1, image_body()), project_body(2, images="none")))

    await ask(
        """{ links: gallery { projects { projectName images(first: 5) { output { thumbnail } } } }
             names: gallery { projects { projectName images(first: 5) { status } } } }"""
    )

    assert len(upstream.requests) == 1


async def test_with_narrowing_off_each_cap_is_asked_for_as_it_stands(upstream: FakeUpstream) -> None:
    async with gateway(upstream, narrowing=False) as client:
        for _ in range(2):
            await client.ask(
                """{ three: gallery(maxImagesPerProject: 3) { projects { totalImages } }
                     five: gallery(maxImagesPerProject: 5) { projects { totalImages } } }"""
            )

    assert sorted(caps(upstream)) == [3, 5]
