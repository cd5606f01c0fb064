"""For how long a page is given past its freshness, and what ends that earlier."""

import pytest

from tests.fakes import Client, FakeUpstream, image_body, page_body, project_body
from tests.gallery.endpoints import NOON, ManualClock
from tests.gallery.stale.pages import NAMES, RENEWING, TTL, name_of, named, stale_gateway, staleness
from tests.gallery.test_entry import LINKS, jwt, signed_image


@pytest.mark.parametrize(("expires_in", "is_answered"), [(150.5, True), (150, False), (100, False)])
@pytest.mark.parametrize("renewing", [0, 80])
async def test_nothing_stale_outlives_the_token(
    upstream: FakeUpstream, clock: ManualClock, expires_in: float, renewing: float, is_answered: bool
) -> None:
    token = jwt({"exp": NOON + expires_in})
    async with stale_gateway(upstream, clock, stale_while_revalidate_seconds=renewing) as client:
        await client.ask(NAMES, token=token)
        upstream.answer(503)
        clock.step(150)

        answer = await client.ask(NAMES, token=token)

    assert (answer["data"]["gallery"] is not None) is is_answered


@pytest.mark.parametrize("seconds", [TTL + 1, TTL + RENEWING])
async def test_no_stale_page_gives_out_a_link_past_its_end(
    client: Client, upstream: FakeUpstream, clock: ManualClock, seconds: int
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(seconds + 30))))
    await client.ask(LINKS)
    upstream.answer(503)
    clock.step(seconds)

    links, names = await client.ask(LINKS), await client.ask(NAMES)

    assert links["data"] == {"gallery": None}
    assert name_of(names) == "Project 1"


@pytest.mark.parametrize("seconds", [TTL + 1, TTL + RENEWING])
async def test_a_stale_page_gives_out_links_until_their_end(
    client: Client, upstream: FakeUpstream, clock: ManualClock, seconds: int
) -> None:
    upstream.answer(json=page_body(project_body(1, signed_image(seconds + 31))))
    await client.ask(LINKS)
    upstream.answer(503)
    clock.step(seconds)

    answer = await client.ask(LINKS)

    assert "errors" not in answer


@pytest.mark.parametrize(
    ("cache_control", "fresh", "renewing", "failing"),
    [
        ("", TTL, 40, 1_000),
        ("stale-while-revalidate=5, stale-if-error=50", TTL, 5, 50),
        ("stale-while-revalidate=500, stale-if-error=5000", TTL, 40, 1_000),
        ("stale-while-revalidate=0", TTL, 0, 1_000),
        ("stale-while-revalidate=5, stale-if-error=0", TTL, 5, 0),
        ("stale-if-error=soon", TTL, 40, 1_000),
        ("must-revalidate", TTL, 0, 0),
        ("max-age=50, must-revalidate, stale-if-error=60", 50, 0, 0),
        # What was to be fresh for a moment only is not to be old for long.
        ("max-age=10", 10, 10, 1_000),
        ("max-age=0", 0, 0, 1_000),
        ("no-cache", 0, 0, 0),
        ("no-store", 0, 0, 0),
    ],
)
async def test_upstream_cuts_both_bounds_and_lengthens_none(
    upstream: FakeUpstream,
    clock: ManualClock,
    *,
    cache_control: str,
    fresh: float,
    renewing: float,
    failing: float,
) -> None:
    for past in (0, 5, 10, 39, 40, 49, 50, 999, 1_000):
        async with stale_gateway(upstream, clock) as client:
            upstream.answer(json=page_body(), headers={"cache-control": cache_control})
            await client.ask(NAMES)
            upstream.answer(503)
            clock.step(fresh + past)
            reasons = [told[2] for told in staleness(await client.ask(NAMES))]

        assert reasons == (
            ["RENEWING"] if past < renewing else ["UPSTREAM_UNAVAILABLE"] if past < failing else []
        )


async def test_what_upstream_said_of_staleness_holds_after_a_renewal(
    upstream: FakeUpstream, clock: ManualClock
) -> None:
    async with stale_gateway(upstream, clock) as client:
        upstream.answer(json=named("before"), headers={"etag": '"a"', "cache-control": "must-revalidate"})
        await client.ask(NAMES)
        upstream.answer(304)
        clock.step(TTL)
        await client.ask(NAMES)
        upstream.answer(503)
        clock.step(TTL)

        answer = await client.ask(NAMES)

    assert answer["data"] == {"gallery": None}


async def test_without_a_cache_nothing_is_kept_for_worse_times(
    upstream: FakeUpstream, clock: ManualClock
) -> None:
    async with stale_gateway(upstream, clock, cache_ttl_seconds=0) as client:
        await client.ask(NAMES)
        upstream.answer(503)

        answer = await client.ask(NAMES)

    assert answer["data"] == {"gallery": None}


async def test_progress_is_waited_for_while_upstream_is_well(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(project_body(1, image_body(status="pending"))))
    await client.ask(NAMES)
    upstream.answer(json=named("after"))
    clock.step(3)

    answer = await client.ask(NAMES)

    assert name_of(answer) == "after"


async def test_progress_is_told_stale_rather_than_not_at_all(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(project_body(1, image_body(status="pending"))))
    await client.ask(NAMES)
    upstream.answer(503)
    clock.step(3)

    assert staleness(await client.ask(NAMES)) == [("gallery", 3, "UPSTREAM_UNAVAILABLE")]
