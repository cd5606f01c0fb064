"""How long a page answers without being asked for again, as upstream sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway, image_body, page_body, project_body
from tests.gallery.endpoints import NOON, ManualClock

# What is past its freshness has to be asked for, and waited for.
strict_gateway = partial(gateway, stale_while_revalidate_seconds=0, stale_if_error_seconds=0)

NAMES = "{ gallery { projects { projectName images { status } } } }"
LINKS = "{ gallery { projects { images { output { thumbnail } } } } }"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with strict_gateway(
        upstream,
        clock=clock.clock,
        cache_ttl_seconds=100,
        cache_unfinished_ttl_seconds=3,
    ) as client:
        yield client


async def asked_after(client: Client, clock: ManualClock, seconds: float, **asking: Any) -> None:
    """Asks once more, when so many seconds have passed."""
    clock.step(seconds)
    answer = await client.ask(asking.pop("document", NAMES), **asking)
    assert "errors" not in answer


@pytest.mark.parametrize(("seconds", "requests"), [(99.9, 1), (100, 2)])
async def test_a_page_is_fresh_for_the_time_of_the_setting(
    client: Client, upstream: FakeUpstream, clock: ManualClock, seconds: float, requests: int
) -> None:
    await client.ask(NAMES)

    await asked_after(client, clock, seconds)

    assert len(upstream.requests) == requests


async def test_without_a_time_to_live_every_operation_asks_upstream(upstream: FakeUpstream) -> None:
    async with strict_gateway(upstream, cache_ttl_seconds=0) as client:
        await client.ask(NAMES)

        await client.ask(NAMES)

    assert len(upstream.requests) == 2


UNFINISHED: dict[str, Any] = {
    "counters": {"total_images": 3, "completed_images": 1, "failed_images": 1},
    "pending": {"images": [image_body(0), image_body(1, status="pending")]},
    "processing": {"images": [image_body(0, status="processing")]},
    "unknown": {"images": [image_body(0, status="dreaming")]},
    "empty": {"images": [image_body(0, status="")]},
    "damaged": {"images": [image_body(0, status=["completed"])]},
}
FINISHED: dict[str, Any] = {
    "counters": {"total_images": 3, "completed_images": 1, "failed_images": 2},
    "no counters": {"total_images": None, "completed_images": None, "failed_images": None},
    "completed and failed": {"images": [image_body(0), image_body(1, status="failed")]},
    "not said": {"images": [image_body(0, status=None)]},
    "nothing": {"images": []},
}


@pytest.mark.parametrize("fields", UNFINISHED.values(), ids=UNFINISHED)
async def test_a_page_is_fresh_for_seconds_while_images_are_being_made(
    client: Client, upstream: FakeUpstream, clock: ManualClock, fields: dict[str, Any]
) -> None:
    upstream.answer(json=page_body(project_body(1), project_body(2, **fields)))
    document = "{ gallery { projects { projectName images { id } } } }"
    await client.ask(document)
    await asked_after(client, clock, 2.9, document=document)
    before = len(upstream.requests)

    await asked_after(client, clock, 0.1, document=document)

    assert (before, len(upstream.requests)) == (1, 2)


@pytest.mark.parametrize("fields", FINISHED.values(), ids=FINISHED)
async def test_a_page_is_fresh_for_its_whole_time_when_all_images_are_made(
    client: Client, upstream: FakeUpstream, clock: ManualClock, fields: dict[str, Any]
) -> None:
    upstream.answer(json=page_body(project_body(1, **fields)))
    await client.ask(NAMES)

    await asked_after(client, clock, 99)

    assert len(upstream.requests) == 1


async def test_images_being_made_never_lengthen_a_shorter_time(
    upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(project_body(1, image_body(status="pending"))))
    async with strict_gateway(
        upstream, clock=clock.clock, cache_ttl_seconds=1, cache_unfinished_ttl_seconds=3
    ) as client:
        await client.ask(NAMES)

        await asked_after(client, clock, 1)

    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"cache-control": "max-age=20"}, 20),
        ({"cache-control": "max-age=20", "age": "5"}, 15),
        ({"cache-control": "max-age=20", "age": "50"}, 0),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "no-store, max-age=20"}, 0),
        ({"cache-control": "no-cache"}, 0),
        ({"cache-control": "max-age=0"}, 0),
        ({"cache-control": "max-age=86400"}, 100),
        ({"cache-control": "private"}, 100),
        ({"cache-control": "max-age=soon"}, 0),
        ({"expires": "0"}, 0),
        ({"expires": "Sun, 06 Nov 1994 08:49:57 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 20),
    ],
)
async def test_upstreams_headers_cut_the_time_and_never_lengthen_it(
    client: Client, upstream: FakeUpstream, clock: ManualClock, headers: dict[str, str], seconds: float
) -> None:
    upstream.answer(json=page_body(), headers=headers)
    await client.ask(NAMES)
    if seconds:
        await asked_after(client, clock, seconds - 0.1)
    before = len(upstream.requests)

    await asked_after(client, clock, 0.1)

    assert (before, len(upstream.requests)) == (1, 2)


class TaggedUpstream(FakeUpstream):
    """Answers 304 to those who know its ETag."""

    def __init__(self, **headers: str) -> None:
        super().__init__()
        self.etag = '"first"'
        self.page = page_body()
        self.headers = headers
        self.renewal_headers: dict[str, str] = {}
        self.handler = self._answer

    @property
    def conditions(self) -> list[str | None]:
        return [request.headers.get("if-none-match") for request in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-none-match") == self.etag:
            return httpx.Response(304, headers=self.renewal_headers)
        headers = {"etag": self.etag, **{n.replace("_", "-"): v for n, v in self.headers.items()}}
        return httpx.Response(200, json=self.page, headers=headers)


@pytest.fixture
def tagged() -> TaggedUpstream:
    return TaggedUpstream()


async def test_a_fresh_page_is_not_asked_for_however_it_is_tagged(
    tagged: TaggedUpstream, clock: ManualClock
) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)

        await asked_after(client, clock, 29)

    assert tagged.conditions == [None]


async def test_a_page_that_has_not_changed_is_renewed_without_a_body(
    tagged: TaggedUpstream, clock: ManualClock
) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        first = await client.ask(NAMES)
        clock.step(30)
        second = await client.ask(NAMES)
        await asked_after(client, clock, 29)

    assert first == second
    assert tagged.conditions == [None, '"first"']


async def test_a_renewed_page_can_be_renewed_again(tagged: TaggedUpstream, clock: ManualClock) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)
        await asked_after(client, clock, 30)

        await asked_after(client, clock, 30)

    assert tagged.conditions == [None, '"first"', '"first"']


async def test_a_renewed_page_has_the_age_of_its_renewal(tagged: TaggedUpstream, clock: ManualClock) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)
        await asked_after(client, clock, 35)
        clock.step(4)

        response = await client.post(NAMES)

    assert response.headers["age"] == "4"


async def test_a_page_that_has_changed_takes_the_place_of_the_one_before(
    tagged: TaggedUpstream, clock: ManualClock
) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)
        tagged.etag, tagged.page = '"second"', page_body(project_body(9))
        clock.step(30)

        changed = await client.ask(NAMES)
        again = await client.ask(NAMES)

    assert changed["data"]["gallery"]["projects"] == [{"projectName": "Project 9", "images": []}]
    assert again == changed
    assert tagged.conditions == [None, '"first"']


async def test_what_a_renewal_does_not_say_stays_as_it_was(clock: ManualClock) -> None:
    tagged = TaggedUpstream(cache_control="max-age=5")
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)
        await asked_after(client, clock, 5)

        await asked_after(client, clock, 5)

    assert tagged.conditions == [None, '"first"', '"first"']


async def test_a_page_under_no_cache_is_renewed_by_every_operation(clock: ManualClock) -> None:
    tagged = TaggedUpstream(cache_control="no-cache")
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)
        await client.ask(NAMES)

        await client.ask(NAMES)

    assert tagged.conditions == [None, '"first"', '"first"']


async def test_a_page_under_no_store_is_not_renewed(clock: ManualClock) -> None:
    tagged = TaggedUpstream(cache_control="no-store")
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)

        await client.ask(NAMES)

    assert tagged.conditions == [None, None]


async def test_no_page_is_renewed_for_another_caller(tagged: TaggedUpstream, clock: ManualClock) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)

        await asked_after(client, clock, 30, token=OTHER_TOKEN)

    assert tagged.conditions == [None, None]


async def test_a_page_is_not_kept_for_renewal_without_end(tagged: TaggedUpstream, clock: ManualClock) -> None:
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES)

        await asked_after(client, clock, 30 + 300)

    assert tagged.conditions == [None, None]


async def test_a_page_whose_links_have_expired_is_not_renewed(
    tagged: TaggedUpstream, clock: ManualClock
) -> None:
    """Its links would be as dead as before."""
    tagged.page = page_body(project_body(1, signed_image(80)))
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(LINKS)

        await asked_after(client, clock, 50, document=LINKS)

    assert tagged.conditions == [None, None]


async def test_a_renewed_pages_links_expire_when_they_did_before(
    tagged: TaggedUpstream, clock: ManualClock
) -> None:
    tagged.page = page_body(project_body(1, signed_image(80)))
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(LINKS)
        await asked_after(client, clock, 30, document=LINKS)

        await asked_after(client, clock, 20, document=LINKS)

    assert tagged.conditions == [None, '"first"', None]


def jwt(claims: Any) -> str:
    return ".".join(["eyJhbGciOiJIUzI1NiJ9", _encoded(json.dumps(claims).encode()), "c2lnbmF0dXJl"])


def _encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(("expires_in", "seconds"), [(20, 20), (20.5, 20.5), (86_400, 100), (0, 0), (-5, 0)])
async def test_a_tokens_end_cuts_the_time_and_never_lengthens_it(
    client: Client, upstream: FakeUpstream, clock: ManualClock, expires_in: float, seconds: float
) -> None:
    token = jwt({"sub": "ada", "exp": NOON + expires_in})
    await client.ask(NAMES, token=token)
    if seconds:
        await asked_after(client, clock, seconds - 0.1, token=token)
    before = len(upstream.requests)

    await asked_after(client, clock, 0.1, token=token)

    assert (before, len(upstream.requests)) == (1, 2)


async def test_a_page_is_not_kept_for_renewal_past_the_tokens_end(
    tagged: TaggedUpstream, clock: ManualClock
) -> None:
    token = jwt({"exp": NOON + 40})
    async with strict_gateway(tagged, clock=clock.clock) as client:
        await client.ask(NAMES, token=token)

        await asked_after(client, clock, 41, token=token)

    assert tagged.conditions == [None, None]


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "a.b",
        "..",
        "a.%%%.c",
        jwt({"sub": "ada"}),
        jwt({"exp": "soon"}),
        jwt({"exp": None}),
        jwt({"exp": 10**400}),
        jwt([]),
        jwt("exp"),
        "a." + _encoded(b"\xff\xfe") + ".c",
        "a." + _encoded(b'{"exp": 1') + ".c",
        "a." + _encoded(b'{"x":' + b"[" * 4000 + b"]" * 4000 + b"}") + ".c",
    ],
    ids=lambda token: token[:24],
)
async def test_a_token_that_says_nothing_of_its_end_changes_nothing(
    client: Client, upstream: FakeUpstream, clock: ManualClock, token: str
) -> None:
    await client.ask(NAMES, token=token)

    await asked_after(client, clock, 99, token=token)

    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_caller_who_is_turned_away_loses_all_its_pages(
    client: Client, upstream: FakeUpstream, status: int
) -> None:
    await client.ask(NAMES)
    upstream.answer(status)
    await client.ask("{ gallery(page: 2) { pagination { total } } }")

    answer = await client.ask(NAMES)

    assert answer["data"] == {"gallery": None}
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_a_caller_who_is_turned_away_costs_no_other_caller_its_pages(
    client: Client, upstream: FakeUpstream, status: int
) -> None:
    await client.ask(NAMES, token=OTHER_TOKEN)
    upstream.answer(status)
    await client.ask(NAMES, token=TOKEN)

    answer = await client.ask(NAMES, token=OTHER_TOKEN)

    assert "errors" not in answer
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_an_endpoint_in_trouble_costs_nobody_its_pages(
    client: Client, upstream: FakeUpstream, status: int
) -> None:
    await client.ask(NAMES)
    upstream.answer(status)
    await client.ask('{ gallery(status: "failed") { pagination { total } } }')

    answer = await client.ask(NAMES)

    assert "errors" not in answer


async def test_an_error_is_not_kept(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(503)
    await client.ask(NAMES)
    upstream.answer(json=page_body())

    answer = await client.ask(NAMES)

    assert "errors" not in answer
    assert len(upstream.requests) == 2


def signed_image(seconds: int, **fields: Any) -> dict[str, Any]:
    """An image whose link expires so many seconds after noon."""
    date = datetime.fromtimestamp(NOON, UTC).strftime("%Y%m%dT%H%M%SZ")
    link = f"https://b.s3.amazonaws.com/k?X-Amz-Date={date}&X-Amz-Expires={seconds}&X-Amz-Signature=0"
    return image_body(output={"full_size": None, "thumbnail": link}, **fields)


@pytest.mark.parametrize("seconds", [50, 60, 99])
@pytest.mark.parametrize(
    "document",
    [
        LINKS,
        "{ gallery { projects { images(first: 1) { inputs { fullSize } } } } }",
        "{ gallery { projects { images { output { expiresAt } } } } }",
        "{ project(projectId: 1) { images { ...F } } } fragment F on Image { output { fullSize } }",
        "{ gallery { projects { names: images { id } images { inputs { fullSize } } } } }",
    ],
)
async def test_a_link_is_never_given_out_when_it_expires_within_the_margin(
    client: Client, upstream: FakeUpstream, clock: ManualClock, document: str, seconds: float
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(80))))
    await client.ask(document)

    await asked_after(client, clock, seconds, document=document)

    assert len(upstream.requests) == 2


async def test_a_link_is_given_out_until_its_expiry_less_the_margin(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(80))))
    await client.ask(LINKS)

    await asked_after(client, clock, 49.9, document=LINKS)

    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "document",
    [
        NAMES,
        "{ gallery { projects { images { output { uuid __typename } inputs { uuid } } } } }",
        "{ gallery { projects { images { id output @skip(if: true) { thumbnail } } } } }",
        "{ gallery { pagination { total } } }",
        "{ project(projectId: 1) { images { status } } }",
    ],
)
async def test_links_that_expire_do_not_matter_to_those_who_select_none(
    client: Client, upstream: FakeUpstream, clock: ManualClock, document: str
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(80))))
    await client.ask(LINKS)

    await asked_after(client, clock, 99, document=document)

    assert len(upstream.requests) == 1


async def test_the_first_link_to_expire_ends_the_page_for_those_who_select_links(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    images = [signed_image(920), signed_image(60, image_index=1), image_body(2)]
    upstream.answer(json=page_body(project_body(1, *images)))
    await client.ask(LINKS)

    await asked_after(client, clock, 30, document=LINKS)

    assert len(upstream.requests) == 2


async def test_a_slice_gives_out_no_link_that_its_page_would_not(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(80), image_body(1))))
    await client.ask(LINKS)

    await asked_after(
        client, clock, 50, document="{ gallery { projects { images(first: 1) { output { fullSize } } } } }"
    )

    assert len(upstream.requests) == 2


async def test_clients_are_told_the_life_of_the_links_they_select(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(80))))

    links, names = [await client.post(document) for document in (LINKS, NAMES)]

    assert links.headers["cache-control"] == "private, max-age=50"
    assert names.headers["cache-control"] == "private, max-age=100"


async def test_a_page_under_way_while_its_caller_is_refused_is_not_kept(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def late(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await answered.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = late
    under_way = asyncio.create_task(client.ask(NAMES))
    await asked.wait()
    clock.step(1)
    upstream.answer(401)
    await client.ask("{ gallery(page: 2) { projects { id } } }")
    answered.set()
    await under_way

    answer = await client.ask(NAMES)

    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
