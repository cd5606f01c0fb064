"""How long the pages of a revoked token are still served: never once the API has said so."""

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import Client, FakeUpstream
from tests.gallery.endpoints import ManualClock
from tests.gallery.stale.pages import FAILING, NAMES, TTL, name_of, named, stale_gateway

POLL_SECONDS = 0.5

OUTAGES = [500, 503, 429]


async def asked(client: Client) -> str | None:
    """Ask, and let a revalidation in the background end; return the name on the page that answered."""
    answer = await client.ask(NAMES)
    for _ in range(50):
        await asyncio.sleep(0)
    return None if answer["data"]["gallery"] is None else name_of(answer)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_caller_who_polls_sees_a_revoked_tokens_pages_until_they_are_revalidated(
    client: Client, upstream: FakeUpstream, clock: ManualClock, status: int
) -> None:
    upstream.answer(json=named("before"))
    await client.ask(NAMES)
    upstream.answer(status)
    served_seconds = 0.0

    while await asked(client) is not None:
        clock.step(POLL_SECONDS)
        served_seconds += POLL_SECONDS

    assert served_seconds <= TTL + POLL_SECONDS


@pytest.mark.parametrize(("status", "body"), [(503, b""), (401, b"<html>"), (403, b"<html>")])
async def test_while_the_api_is_down_a_revoked_tokens_pages_are_served_as_long_as_any_stale_page(
    client: Client, upstream: FakeUpstream, clock: ManualClock, status: int, body: bytes
) -> None:
    """Or while something in front of the API answers in its place."""
    upstream.answer(json=named("before"))
    await client.ask(NAMES)
    upstream.answer(status, content=body)

    clock.step(TTL + FAILING - 1)
    last = await asked(client)
    clock.step(1)

    assert last == "before"
    assert await asked(client) is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("answer"), st.sampled_from([200, 401, 403, *OUTAGES])),
            st.tuples(st.just("wait"), st.sampled_from([1, TTL + 1, TTL + 50, 500])),
            st.tuples(st.just("ask"), st.just(0)),
        ),
        min_size=5,
        max_size=60,
    )
)
def test_no_page_from_before_a_refusal_is_served_after_it_whatever_happens_next(
    events: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        upstream, clock = FakeUpstream(), ManualClock()
        generation, status = 0, 200
        refused = -1

        def respond(_request: httpx.Request) -> httpx.Response:
            nonlocal refused
            if status in {401, 403}:
                refused = generation
            return httpx.Response(status, json=named(str(generation)) if status == 200 else None)

        upstream.handler = respond
        async with stale_gateway(upstream, clock) as client:
            for kind, value in events:
                if kind == "wait":
                    clock.step(value)
                elif kind == "answer":
                    status = value
                    generation += 1
                else:
                    known_refused = refused
                    name = await asked(client)
                    assert name is None or int(name) > known_refused

    asyncio.run(run())
