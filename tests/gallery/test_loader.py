import asyncio

import httpx
import pytest

from gallery_gateway.errors import UpstreamUnavailableError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts, FieldNeeds
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.usage import Budget, OperationUsage
from tests.fakes import TOKEN, FakeUpstream, build_gallery, page_body, project_body
from tests.gallery.endpoints import caps

EVERYTHING = FieldNeeds(max_images=None, needs_links=True)


@pytest.fixture
def gallery(upstream: FakeUpstream) -> Gallery:
    # Nothing is kept, so that only the loaders can spare a request.
    return build_gallery(upstream)


@pytest.fixture
async def loader(gallery: Gallery) -> GalleryLoader:
    usage = OperationUsage(Budget(max_calls=20, max_images=20_000))
    caller = Caller(TOKEN, secret=b"s" * 32)
    return GalleryLoader(gallery, caller, usage, narrows=True, accepts=Accepts())


async def test_one_request_is_asked_once_in_an_operation(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    first = await loader.page(GalleryRequest(), EVERYTHING)

    second = await loader.page(GalleryRequest(per_page=20), EVERYTHING)

    assert first is second
    assert len(upstream.requests) == 1


async def test_requests_of_one_moment_are_under_way_together(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    both_are_here = asyncio.Barrier(2)

    async def answer(_request: httpx.Request) -> httpx.Response:
        await both_are_here.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = answer

    await asyncio.gather(*(loader.page(GalleryRequest(page=page), EVERYTHING) for page in (1, 2)))

    assert len(upstream.requests) == 2


async def test_the_largest_request_of_one_moment_is_the_one_that_is_asked(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    needs = [FieldNeeds(max_images=most, needs_links=False) for most in (2, 0, 30, None, 7)]

    await asyncio.gather(*(loader.page(GalleryRequest(), needs) for needs in needs))

    assert caps(upstream) == [50]


async def test_a_failed_request_fails_alone_and_is_not_remembered(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    upstream.handler = lambda request: httpx.Response(
        503 if request.url.params["page"] == "2" else 200, json=page_body()
    )
    good, bad = await asyncio.gather(
        loader.page(GalleryRequest(page=1), EVERYTHING),
        loader.page(GalleryRequest(page=2), EVERYTHING),
        return_exceptions=True,
    )
    upstream.answer(json=page_body())

    again = await loader.page(GalleryRequest(page=2), EVERYTHING)

    assert not isinstance(good, BaseException)
    assert isinstance(bad, UpstreamUnavailableError)
    assert again.value.projects


async def test_a_waiter_that_is_cancelled_leaves_the_others_theirs(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def answer(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await answered.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = answer
    first = asyncio.create_task(loader.page(GalleryRequest(), EVERYTHING))
    second = asyncio.create_task(loader.page(GalleryRequest(), EVERYTHING))
    await asked.wait()

    first.cancel()
    answered.set()

    assert (await second).value.projects
    assert len(upstream.requests) == 1


async def test_a_field_after_a_cancelled_one_gets_what_both_asked_for(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def answer(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await answered.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = answer
    first = asyncio.create_task(loader.page(GalleryRequest(), EVERYTHING))
    await asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answered.set()

    second = await loader.page(GalleryRequest(), EVERYTHING)

    assert second.value.projects
    assert len(upstream.requests) == 1


async def test_a_project_is_the_one_asked_for_whatever_else_is_listed(
    loader: GalleryLoader, upstream: FakeUpstream
) -> None:
    upstream.answer(json=page_body(project_body(1), project_body(2)))

    found = await loader.project(GalleryRequest(project_id=2), EVERYTHING)
    missing = await loader.project(GalleryRequest(project_id=3), EVERYTHING)

    assert found.value is not None
    assert found.value.project_id == 2
    assert missing.value is None


async def test_a_page_is_fetched_once_at_whatever_moment_of_its_fetched_it_is_asked_for_again(
    upstream: FakeUpstream,
) -> None:
    caller = Caller(TOKEN, secret=b"s" * 32)

    async def ask(gallery: Gallery) -> None:
        usage = OperationUsage(Budget(max_calls=20, max_images=20_000))
        loader = GalleryLoader(gallery, caller, usage, narrows=True, accepts=Accepts())
        await loader.page(GalleryRequest(), EVERYTHING)

    for turns in range(60):
        gallery = build_gallery(upstream, ttl_seconds=60)
        upstream.requests.clear()
        first = asyncio.create_task(ask(gallery))
        for _ in range(turns):
            await asyncio.sleep(0)

        await ask(gallery)

        await first
        assert len(upstream.requests) == 1, turns
