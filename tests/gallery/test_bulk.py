"""Many projects by their numbers cost the fewest calls that will do."""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import httpx
import pytest

from gallery_gateway.errors import BadUserInputError, GatewayError
from gallery_gateway.gallery.bulk import Found, load_projects, most_loaded, page_pays
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts, FieldNeeds, Fresh, LoadKey
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.upstream.contract import UpstreamProject
from tests.fakes import (
    OTHER_TOKEN,
    TOKEN,
    FakeUpstream,
    build_gallery,
    image_body,
    page_body,
    parameters_of,
    project_body,
)
from tests.gallery.endpoints import ManualClock, caps, listing, sized_projects

NAMES = FieldNeeds(max_images=0, needs_links=False)


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(*(3 for _ in range(240)))
    return upstream


@pytest.fixture
async def gallery(upstream: FakeUpstream) -> AsyncIterator[Gallery]:
    gallery = build_gallery(upstream, ttl_seconds=60)
    yield gallery
    await gallery.aclose()


def loader(
    gallery: Gallery,
    *,
    token: str = TOKEN,
    skips_cache: bool = False,
    max_calls: int = 20,
    max_images: int = 20_000,
) -> GalleryLoader:
    """Those of a new operation."""
    usage = OperationUsage(Budget(max_calls=max_calls, max_images=max_images))
    caller = Caller(token, secret=b"s" * 32)
    return GalleryLoader(gallery, caller, usage, narrows=True, accepts=Accepts(fresh=not skips_cache))


def asked(upstream: FakeUpstream) -> list[str]:
    """Each upstream call: the number of the project that it names, or of the list page."""
    told = [parameters_of(request) for request in upstream.requests]
    return [p["project_id"] if "project_id" in p else f"page {p['page']} of {p['per_page']}" for p in told]


def known(found: Mapping[int, Found]) -> list[int]:
    return [number for number, project in found.items() if isinstance(project, UpstreamProject)]


async def test_twenty_projects_of_the_first_page_cost_one_call(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    found = (await load_projects(loader(gallery), range(20, 40), NAMES)).found

    assert known(found) == list(range(20, 40))
    assert asked(upstream) == ["page 1 of 100"]
    assert caps(upstream) == [1]


async def test_projects_of_two_pages_cost_two_calls(gallery: Gallery, upstream: FakeUpstream) -> None:
    found = (await load_projects(loader(gallery), range(90, 110), NAMES)).found

    assert known(found) == list(range(90, 110))
    assert asked(upstream) == ["page 1 of 100", "page 2 of 100"]


async def test_two_projects_are_asked_for_one_by_one(gallery: Gallery, upstream: FakeUpstream) -> None:
    await load_projects(loader(gallery), [1, 2], NAMES)

    assert asked(upstream) == ["1", "2"]


async def test_what_a_page_did_not_bring_is_asked_for_one_by_one(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    found = (await load_projects(loader(gallery), [1, 2, 3, 230, 999], NAMES)).found

    assert known(found) == [1, 2, 3, 230]
    assert found[999] is None
    assert asked(upstream) == ["page 1 of 100", "230", "999"]


async def test_no_page_follows_one_that_brought_too_little(gallery: Gallery, upstream: FakeUpstream) -> None:
    await load_projects(loader(gallery), [1, 201, 202, 203], NAMES)

    assert asked(upstream) == ["page 1 of 100", "201", "202", "203"]


@pytest.mark.parametrize(("cap", "fewest"), [(1, 3), (50, 41)])
async def test_no_list_makes_projects_cost_more_than_the_most(cap: int, fewest: int) -> None:
    """Each page has just enough of the projects to make the next one pay, but for the last page."""
    wanted = [page * 100 + index for page in range(3) for index in range(1, fewest + 1)] + [9_999]
    needs = FieldNeeds(max_images=cap, needs_links=False)
    most = most_loaded(len(wanted), max_images=cap, max_calls=500)
    costs = []
    for length in (0, 100, 200, 1_000):
        upstream = FakeUpstream()
        upstream.handler = listing(*(0 for _ in range(length)))
        gallery = build_gallery(upstream, ttl_seconds=60)
        await load_projects(loader(gallery, max_calls=500, max_images=10**6), wanted, needs)
        singles = sum(name.isdigit() for name in asked(upstream))
        costs.append((len(asked(upstream)), (singles + 100 * (len(asked(upstream)) - singles)) * cap))
        await gallery.aclose()

    assert max(calls for calls, _ in costs) == most[0]
    assert max(images for _, images in costs) <= most[1]


async def test_no_page_follows_the_last(gallery: Gallery, upstream: FakeUpstream) -> None:
    upstream.handler = listing(*(1 for _ in range(10)))

    found = (await load_projects(loader(gallery), [*range(1, 11), 997, 998, 999], NAMES)).found

    assert known(found) == list(range(1, 11))
    assert asked(upstream) == ["page 1 of 100", "997", "998", "999"]


async def test_pages_of_many_images_are_not_worth_it(gallery: Gallery, upstream: FakeUpstream) -> None:
    found = (
        await load_projects(loader(gallery), range(1, 6), FieldNeeds(max_images=None, needs_links=False))
    ).found

    assert known(found) == list(range(1, 6))
    assert asked(upstream) == ["1", "2", "3", "4", "5"]
    assert caps(upstream) == [50] * 5


async def test_each_project_has_as_many_images_as_were_asked_for(gallery: Gallery) -> None:
    found = (
        await load_projects(loader(gallery), range(1, 21), FieldNeeds(max_images=2, needs_links=False))
    ).found

    counts = {len(project.images) for project in found.values() if isinstance(project, UpstreamProject)}
    assert counts == {2}


async def test_what_a_cached_page_holds_costs_nothing(gallery: Gallery, upstream: FakeUpstream) -> None:
    await loader(gallery).page(GalleryRequest(per_page=20), NAMES)

    found = (await load_projects(loader(gallery), [3, 1, 20], NAMES)).found

    assert known(found) == [3, 1, 20]
    assert len(upstream.requests) == 1


async def test_only_what_the_cache_does_not_hold_is_asked_for(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    await loader(gallery).page(GalleryRequest(per_page=20), NAMES)

    await load_projects(loader(gallery), [1, 2, 3, 4, 21], NAMES)

    assert asked(upstream) == ["page 1 of 20", "21"]


async def test_a_cached_list_page_is_not_asked_for_again(gallery: Gallery, upstream: FakeUpstream) -> None:
    await load_projects(loader(gallery), range(1, 21), NAMES)

    found = (await load_projects(loader(gallery), [*range(1, 11), *range(101, 111)], NAMES)).found

    assert known(found) == [*range(1, 11), *range(101, 111)]
    assert asked(upstream) == ["page 1 of 100", "page 2 of 100"]


async def test_a_project_that_is_past_its_freshness_is_asked_for_again(upstream: FakeUpstream) -> None:
    clock = ManualClock()
    gallery = build_gallery(upstream, ttl_seconds=60, clock=clock.clock)
    await load_projects(loader(gallery), [1, 2], NAMES)
    clock.step(61)

    await load_projects(loader(gallery), [1, 2], NAMES)

    assert asked(upstream) == ["1", "2"] * 2


async def test_a_project_that_is_known_to_be_gone_is_not_taken_from_an_older_page(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    await loader(gallery).page(GalleryRequest(per_page=20), NAMES)
    upstream.answer(404)
    await load_projects(loader(gallery, skips_cache=True), [3], NAMES)

    found = (await load_projects(loader(gallery), [3, 4], NAMES)).found

    assert (found[3], known(found)) == (None, [4])


async def test_reading_past_the_cache_asks_anew(gallery: Gallery, upstream: FakeUpstream) -> None:
    await load_projects(loader(gallery), range(1, 21), NAMES)

    await load_projects(loader(gallery, skips_cache=True), range(1, 21), NAMES)

    assert asked(upstream) == ["page 1 of 100"] * 2


async def test_what_one_caller_knows_is_asked_for_again_by_another(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    await load_projects(loader(gallery), range(1, 21), NAMES)

    await load_projects(loader(gallery, token=OTHER_TOKEN), range(1, 21), NAMES)

    assert asked(upstream) == ["page 1 of 100"] * 2


async def test_what_the_budget_does_not_allow_is_told_and_the_rest_is_loaded(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    found = (await load_projects(loader(gallery, max_calls=4), [1, 201, 202, 203, 204, 205], NAMES)).found

    assert known(found) == [1, 201, 202, 203]
    for number in (204, 205):
        refusal = found[number]
        assert isinstance(refusal, BadUserInputError)
        assert "needs 6 upstream calls; the limit is 4" in str(refusal)
    assert len(upstream.requests) == 4


async def test_a_page_of_more_images_than_the_budget_allows_gives_way_to_single_projects(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    found = (await load_projects(loader(gallery, max_images=99), [1, 2, 3], NAMES)).found

    assert known(found) == [1, 2, 3]
    assert asked(upstream) == ["1", "2", "3"]


async def test_a_cached_page_whose_links_have_expired_is_not_enough_for_those_who_select_links(
    upstream: FakeUpstream,
) -> None:
    link = "https://b.s3.amazonaws.com/k?X-Amz-Date=20260101T120000Z&X-Amz-Expires=10&X-Amz-Signature=0"
    image = image_body(output={"full_size": link, "thumbnail": None})
    upstream.answer(json=page_body(*(project_body(number, image) for number in range(1, 21))))
    clock = ManualClock()
    gallery = build_gallery(upstream, ttl_seconds=60, clock=clock.clock)
    await load_projects(loader(gallery), range(1, 21), NAMES)
    clock.step(11)

    await load_projects(loader(gallery), range(1, 21), NAMES)
    spared = len(upstream.requests)
    await load_projects(loader(gallery), range(1, 21), FieldNeeds(max_images=1, needs_links=True))

    assert spared == 1
    assert asked(upstream) == ["page 1 of 100"] * 2


async def test_a_cached_page_is_parsed_once_for_all_even_if_there_is_no_room_to_keep_it_parsed(
    upstream: FakeUpstream,
) -> None:
    projects = sized_projects(*(20 for _ in range(100)))
    body = httpx.Response(200, json=page_body(*projects)).content
    upstream.answer(content=body)
    gallery = build_gallery(upstream, ttl_seconds=60, caller_max_bytes=int(1.1 * len(body)))
    everything = FieldNeeds(max_images=None, needs_links=False)
    await loader(gallery).page(GalleryRequest(per_page=100), everything)

    def seconds_for(count: int) -> float:
        keys = [LoadKey(GalleryRequest(project_id=n), False, is_project=True) for n in range(1, count + 1)]
        started = time.process_time()
        found = gallery.cache.lookup_all(Caller(TOKEN, secret=b"s" * 32), keys)
        assert all(isinstance(answer, Fresh) for answer in found)
        return time.process_time() - started

    assert min(seconds_for(100) for _ in range(3)) < 10 * min(seconds_for(1) for _ in range(3))
    assert len(upstream.requests) == 1


async def test_no_more_than_eight_calls_are_under_way_at_once(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    under_way, most = 0, 0
    listed = upstream.handler

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        under_way -= 1
        response = listed(request)
        assert isinstance(response, httpx.Response)
        return response

    upstream.handler = answer

    found = (
        await load_projects(loader(gallery), range(201, 218), FieldNeeds(max_images=None, needs_links=False))
    ).found

    assert len(known(found)) == 17
    assert most == 8


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_page_that_is_refused_is_not_followed_by_a_call_for_each(
    gallery: Gallery, upstream: FakeUpstream, status: int
) -> None:
    upstream.answer(status)

    found = (await load_projects(loader(gallery), range(1, 21), NAMES)).found

    assert all(isinstance(refusal, GatewayError) for refusal in found.values())
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(("status", "calls"), [(401, 8), (429, 8), (500, 17)])
async def test_what_would_be_said_to_all_is_not_asked_for_each(
    gallery: Gallery, upstream: FakeUpstream, status: int, calls: int
) -> None:
    upstream.answer(status)

    found = (
        await load_projects(loader(gallery), range(1, 18), FieldNeeds(max_images=None, needs_links=False))
    ).found

    assert all(isinstance(refusal, GatewayError) for refusal in found.values())
    assert len(upstream.requests) == calls


async def test_a_page_that_makes_no_sense_leaves_each_project_to_its_own_call(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    listed = upstream.handler

    def answer(request: httpx.Request) -> Any:
        alone = "project_id" in parameters_of(request)
        return listed(request) if alone else httpx.Response(200, text="no JSON")

    upstream.handler = answer

    found = (await load_projects(loader(gallery), [1, 2, 3], NAMES)).found

    assert known(found) == [1, 2, 3]


async def test_a_damaged_project_of_a_page_is_asked_for_alone(
    gallery: Gallery, upstream: FakeUpstream
) -> None:
    listed = upstream.handler

    def answer(request: httpx.Request) -> Any:
        response = listed(request)
        assert isinstance(response, httpx.Response)
        if "project_id" in parameters_of(request):
            return response
        body = response.json()
        body["projects"][1]["images"] = "damaged"
        body["projects"][2] = None
        body["projects"][3]["project_id"] = [4]
        return httpx.Response(200, json=body)

    upstream.handler = answer

    found = (await load_projects(loader(gallery), [1, 2, 3, 4, 5], NAMES)).found

    assert known(found) == [1, 2, 3, 4, 5]
    assert asked(upstream) == ["page 1 of 100", "2", "3", "4"]


def test_a_page_pays_from_three_projects_without_images_on() -> None:
    def least(max_images: int) -> int:
        return next(n for n in range(1, 200) if page_pays(n, max_images=max_images))

    assert [least(images) for images in (1, 2, 12, 50)] == [3, 4, 15, 41]
