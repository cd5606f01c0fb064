"""Links that the REST API signs at each call: a new signature is no change, until the last one expires."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.edge.subscriptions.projects_api import ProjectsAPI, project
from tests.edge.subscriptions.subscribing import Subscriber, in_virtual_time, opened
from tests.gallery.endpoints import NOON

LINKS = "subscription { gallery { projects { pendingImages images { output { thumbnail } } } } }"
# The gateway gives links up so long before they expire.
MARGIN_SECONDS = 30


class SigningAPI(ProjectsAPI):
    """A REST API that signs its links in the style of one vendor each time that it lists them."""

    def __init__(self, vendor: str, *, lifetime_seconds: int, pending: int) -> None:
        super().__init__(project(pending=pending))
        self.path = "/shirt"
        self.parameters = "&size=200"
        self._vendor = vendor
        self._lifetime_seconds = lifetime_seconds

    async def answer(self, request: httpx.Request) -> httpx.Response:
        now = int(NOON + asyncio.get_running_loop().time())
        date, expires = (datetime.fromtimestamp(at, UTC) for at in (now, now + self._lifetime_seconds))
        query = {
            "S3": f"X-Amz-Date={date:%Y%m%dT%H%M%SZ}&X-Amz-Expires={self._lifetime_seconds}&X-Amz-Signature=",
            "CloudFront": f"Expires={now + self._lifetime_seconds}&Signature=",
            "Azure": f"sv=2024&se={expires:%Y-%m-%dT%H:%M:%SZ}&sig=",
            "unsigned": "version=",
        }[self._vendor]
        link = f"https://pictures.example{self.path}?{query}{len(self.called_at)}{self.parameters}"
        for each in self.projects[0]["images"]:
            each["output"] = {"full_size": link, "thumbnail": link}
        return await super().answer(request)


def thumbnails(subscriber: Subscriber) -> list[str]:
    """The first link of each event."""
    found: list[Any] = [response["data"]["gallery"]["projects"][0] for response in subscriber.responses]
    return [each["images"][0]["output"]["thumbnail"] for each in found]


@pytest.mark.parametrize("vendor", ["S3", "CloudFront", "Azure"])
@in_virtual_time
async def test_a_new_signature_is_no_event(vendor: str) -> None:
    api = SigningAPI(vendor, lifetime_seconds=3_600, pending=0)
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await subscriber.ended()

    assert [event.name for event in subscriber.events] == ["next", "complete"]
    assert subscriber.events[-1].at == pytest.approx(60)


@pytest.mark.parametrize("vendor", ["S3", "CloudFront", "Azure"])
@in_virtual_time
async def test_links_are_sent_again_before_those_of_the_client_expire(vendor: str) -> None:
    lifetime_seconds = 300
    api = SigningAPI(vendor, lifetime_seconds=lifetime_seconds, pending=1)
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await asyncio.sleep(1_700)

    times = [event.at for event in subscriber.events]
    assert len(set(thumbnails(subscriber))) == len(times)
    for before, after in itertools.pairwise(times):
        # Give or take the time for which a page is fresh.
        assert after - before == pytest.approx(lifetime_seconds - MARGIN_SECONDS, abs=4)
    assert times[-1] >= 1_400


@in_virtual_time
async def test_links_to_other_pictures_are_an_event() -> None:
    api = SigningAPI("S3", lifetime_seconds=3_600, pending=1)
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await asyncio.sleep(1)
        api.path = "/trousers"
        await asyncio.sleep(10)

    assert len(subscriber.responses) == 2
    assert "/trousers" in thumbnails(subscriber)[1]


@pytest.mark.parametrize("vendor", ["S3", "CloudFront", "Azure"])
@in_virtual_time
async def test_links_with_other_parameters_beside_the_signature_are_an_event(vendor: str) -> None:
    api = SigningAPI(vendor, lifetime_seconds=3_600, pending=1)
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await asyncio.sleep(1)
        api.parameters = "&size=400"
        await asyncio.sleep(10)

    assert len(subscriber.responses) == 2
    assert "size=400" in thumbnails(subscriber)[1]


@in_virtual_time
async def test_what_is_no_signature_is_compared() -> None:
    api = SigningAPI("unsigned", lifetime_seconds=3_600, pending=1)
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await asyncio.sleep(10)

    assert len(subscriber.responses) == 4


@in_virtual_time
async def test_links_that_are_about_to_expire_when_they_come_are_no_flood() -> None:
    api = SigningAPI("S3", lifetime_seconds=MARGIN_SECONDS - 10, pending=1)
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await asyncio.sleep(600)

    times = [event.at for event in subscriber.events]
    assert 2 <= len(times) <= 21
    assert len(api.called_at) <= 600


@in_virtual_time
async def test_links_cannot_be_renewed_while_the_api_is_down() -> None:
    api = SigningAPI("S3", lifetime_seconds=300, pending=1)
    async with opened(api.upstream, stale_if_error_seconds=0) as gateway:
        subscriber = gateway.subscribe(LINKS)
        await asyncio.sleep(1)
        api.fault = lambda: httpx.Response(503)
        await asyncio.sleep(1_000)

    assert len(api.called_at) <= 60
    assert [bool(response.get("errors")) for response in subscriber.responses] == [False, True]
