"""Pages past their freshness answer when upstream fails (RFC 5861, section 4)."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes import OTHER_TOKEN, Client, FakeUpstream
from tests.gallery.endpoints import ManualClock
from tests.gallery.stale.pages import (
    FAILING,
    NAMES,
    RENEWING,
    TTL,
    kept_before,
    late,
    name_of,
    named,
    settled,
    staleness,
)

TROUBLES: dict[str, tuple[Callable[[FakeUpstream], None], str]] = {
    "500": (lambda upstream: upstream.answer(500), "UPSTREAM_UNAVAILABLE"),
    "503": (lambda upstream: upstream.answer(503), "UPSTREAM_UNAVAILABLE"),
    "429": (lambda upstream: upstream.answer(429), "RATE_LIMITED"),
    "refused": (lambda upstream: upstream.fail(httpx.ConnectError("refused")), "UPSTREAM_UNAVAILABLE"),
    "silent": (lambda upstream: upstream.fail(httpx.ReadTimeout("silent")), "UPSTREAM_TIMEOUT"),
    "no JSON": (lambda upstream: upstream.answer(200, text="<html>"), "UPSTREAM_CONTRACT"),
}


@pytest.mark.parametrize(("trouble", "code"), TROUBLES.values(), ids=TROUBLES)
async def test_when_upstream_fails_a_stale_page_answers(
    client: Client, upstream: FakeUpstream, clock: ManualClock, trouble: Any, code: str
) -> None:
    await kept_before(client, upstream)
    trouble(upstream)
    clock.step(TTL + RENEWING + 60)

    response = await client.post(NAMES)

    assert response.status_code == 200
    assert name_of(response.json()) == "before"
    assert staleness(response.json()) == [("gallery", 200, code)]
    assert response.headers["cache-control"] == "private, max-age=0"


@pytest.mark.parametrize(("seconds", "is_answered"), [(TTL + FAILING - 0.1, True), (TTL + FAILING, False)])
async def test_a_stale_page_answers_until_its_bound(
    client: Client, upstream: FakeUpstream, clock: ManualClock, seconds: float, is_answered: bool
) -> None:
    await kept_before(client, upstream)
    upstream.answer(503)
    clock.step(seconds)

    answer = await client.ask(NAMES)

    assert (answer["data"]["gallery"] is not None) is is_answered
    assert bool(answer.get("errors")) is not is_answered


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_an_answer_of_upstream_that_is_no_failure_is_not_hidden(
    client: Client, upstream: FakeUpstream, clock: ManualClock, status: int
) -> None:
    await kept_before(client, upstream)
    upstream.answer(status)
    clock.step(TTL + RENEWING)

    answer = await client.ask(NAMES)

    assert answer["data"] == {"gallery": None}


@pytest.mark.parametrize("status", [401, 403])
async def test_who_is_turned_away_gets_nothing_stale_from_then_on(
    client: Client, upstream: FakeUpstream, clock: ManualClock, status: int
) -> None:
    await kept_before(client, upstream)
    upstream.answer(status)
    clock.step(TTL + 1)
    await client.ask(NAMES)
    await settled(upstream, requests=2)
    upstream.answer(503)

    answer = await client.ask(NAMES)

    assert answer["data"] == {"gallery": None}


async def test_a_stale_page_answers_its_own_caller_only(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    upstream.answer(503)
    clock.step(TTL + 1)

    answer = await client.ask(NAMES, token=OTHER_TOKEN)

    assert answer["data"] == {"gallery": None}


async def test_what_has_just_failed_is_tried_in_the_background_and_not_waited_for(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    upstream.answer(503)
    clock.step(TTL + RENEWING)
    await client.ask(NAMES)
    answered = asyncio.Event()
    upstream.handler = late(answered, named("after"))
    clock.step(1)

    answer = await client.ask(NAMES)
    await settled(upstream, requests=3)
    answered.set()
    await settled(upstream, requests=3)

    assert staleness(answer) == [("gallery", 141, "UPSTREAM_UNAVAILABLE")]
    assert staleness(await client.ask(NAMES)) == []


async def test_what_has_just_failed_is_tried_once_a_second(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    upstream.answer(503)
    clock.step(TTL + RENEWING)
    for _ in range(40):
        await client.ask(NAMES)
        await asyncio.sleep(0)
        clock.step(0.25)

    await settled(upstream, requests=1 + 10)


async def test_what_failed_a_minute_ago_is_waited_for_again(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    other = "{ gallery(page: 2) { projects { id } } }"
    await client.ask(other)
    await kept_before(client, upstream)
    upstream.answer(503)
    clock.step(TTL + RENEWING)
    await client.ask(NAMES)
    clock.step(59)
    await client.ask(other)
    upstream.answer(json=named("after"))
    clock.step(1)

    assert name_of(await client.ask(NAMES)) == "after"


@pytest.mark.parametrize(
    ("wish", "is_answered"),
    [
        ("no-cache", False),
        ("no-store", False),
        ("max-age=0", False),
        ("no-cache, stale-if-error=600", True),
        ("no-cache, stale-if-error=40", False),
        ("stale-if-error=41", True),
        ("stale-if-error=40", False),
        ("stale-if-error=0", False),
        ("stale-if-error=soon", True),
        ("max-stale=5", True),
    ],
)
@pytest.mark.parametrize("has_just_failed", [True, False])
async def test_a_client_says_how_old_an_answer_may_be_when_upstream_fails(
    client: Client,
    upstream: FakeUpstream,
    clock: ManualClock,
    *,
    wish: str,
    is_answered: bool,
    has_just_failed: bool,
) -> None:
    await kept_before(client, upstream)
    upstream.answer(503)
    clock.step(TTL + RENEWING)
    if has_just_failed:
        await client.ask(NAMES)

    answer = (await client.post(NAMES, headers={"cache-control": wish})).json()

    assert (answer["data"]["gallery"] is not None) is is_answered
