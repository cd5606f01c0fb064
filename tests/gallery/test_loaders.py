import asyncio

import httpx
import pytest
from tests.fakes import TOKEN, FakeUpstream, page_body, project_body

from gallery_gateway.errors import UpstreamUnavailableError
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loaders import GalleryLoaders
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.client import GalleryClient, Timeouts


@pytest.fixture
async def loaders(upstream: FakeUpstream) -> GalleryLoaders:
    client = GalleryClient(
        base_url="https://gallery.example",
        transport=upstream,
        timeouts=Timeouts(connect=1, read=1, total=1),
        max_bytes=1_000_000,
        user_agent="test",
    )
    # Without a cache, so that only the loaders can spare a request.
    gallery = Gallery(client=client, cache=PageCache(ttl_seconds=0, max_bytes=0))
    return GalleryLoaders(gallery, Caller(TOKEN, secret=b"s" * 32))


async def test_one_request_is_asked_once_in_an_operation(
    loaders: GalleryLoaders, upstream: FakeUpstream
) -> None:
    first = await loaders.page(GalleryRequest())

    second = await loaders.page(GalleryRequest(per_page=20))

    assert first is second
    assert len(upstream.requests) == 1


async def test_requests_of_one_moment_are_under_way_together(
    loaders: GalleryLoaders, upstream: FakeUpstream
) -> None:
    both_are_here = asyncio.Barrier(2)

    async def answer(_request: httpx.Request) -> httpx.Response:
        await both_are_here.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = answer

    await asyncio.gather(loaders.page(GalleryRequest(page=1)), loaders.page(GalleryRequest(page=2)))

    assert len(upstream.requests) == 2


async def test_a_failed_request_fails_alone_and_is_not_remembered(
    loaders: GalleryLoaders, upstream: FakeUpstream
) -> None:
    upstream.handler = lambda request: httpx.Response(
        503 if request.url.params["page"] == "2" else 200, json=page_body()
    )
    good, bad = await asyncio.gather(
        loaders.page(GalleryRequest(page=1)), loaders.page(GalleryRequest(page=2)), return_exceptions=True
    )
    upstream.answer(json=page_body())

    again = await loaders.page(GalleryRequest(page=2))

    assert not isinstance(good, BaseException)
    assert isinstance(bad, UpstreamUnavailableError)
    assert again.projects


async def test_a_waiter_that_is_cancelled_leaves_the_others_theirs(
    loaders: GalleryLoaders, upstream: FakeUpstream
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def answer(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await answered.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = answer
    first = asyncio.create_task(loaders.page(GalleryRequest()))
    second = asyncio.create_task(loaders.page(GalleryRequest()))
    await asked.wait()

    first.cancel()
    answered.set()

    assert (await second).projects
    assert len(upstream.requests) == 1


async def test_a_project_is_the_one_asked_for_whatever_else_is_listed(
    loaders: GalleryLoaders, upstream: FakeUpstream
) -> None:
    upstream.answer(json=page_body(project_body(1), project_body(2)))

    found = await loaders.project(GalleryRequest(project_id=2))
    missing = await loaders.project(GalleryRequest(project_id=3))

    assert found is not None
    assert found.project_id == 2
    assert missing is None
