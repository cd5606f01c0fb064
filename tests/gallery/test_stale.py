"""Pages past their freshness: what they still answer, for how long, and what upstream sees (RFC 5861)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.fakes import OTHER_TOKEN, Client, FakeUpstream, gateway, image_body, page_body, project_body
from tests.gallery.endpoints import NOON, ManualClock, listing
from tests.gallery.test_freshness import LINKS, jwt, signed_image

NAMES = "{ gallery { projects { projectName } } }"
PROJECT = "{ project(projectId: 1) { projectName } }"

TTL, RENEWING, FAILING = 100, 40, 1_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with stale_gateway(upstream, clock) as client:
        yield client


def stale_gateway(upstream: FakeUpstream, clock: ManualClock, **settings: Any) -> Any:
    given = {
        "cache_ttl_seconds": TTL,
        "cache_unfinished_ttl_seconds": 3,
        "stale_while_revalidate_seconds": RENEWING,
        "stale_if_error_seconds": FAILING,
        "link_margin_seconds": 10,
        **settings,
    }
    return gateway(upstream, clock=clock.clock, **given)


def named(name: str) -> dict[str, Any]:
    return page_body(project_body(1, project_name=name))


def name_of(answer: Any) -> str:
    name: str = answer["data"]["gallery"]["projects"][0]["projectName"]
    return name


def staleness(answer: Any) -> list[tuple[str, int, str]]:
    """Root field, age and reason of whatever is stale."""
    told = answer.get("extensions", {}).get("stale", [])
    return [(stale["path"][0], stale["ageSeconds"], stale["reason"]) for stale in told]


async def settled(upstream: FakeUpstream, requests: int) -> None:
    """Waits until the renewal that is under way has asked, and its answer is kept."""
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(upstream.requests) == requests


async def kept_before(client: Client, upstream: FakeUpstream, document: str = NAMES) -> None:
    """Has a page kept that says `before`; upstream says `after` from now on."""
    upstream.answer(json=named("before"))
    await client.ask(document)
    upstream.answer(json=named("after"))


async def test_a_page_past_its_freshness_answers_at_once_and_is_renewed(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 20)

    first = await client.ask(NAMES)
    await settled(upstream, requests=2)
    second = await client.ask(NAMES)

    assert (name_of(first), staleness(first)) == ("before", [("gallery", 120, "RENEWING")])
    assert (name_of(second), staleness(second)) == ("after", [])
    assert len(upstream.requests) == 2


async def test_a_fresh_answer_says_nothing_of_staleness(client: Client, clock: ManualClock) -> None:
    await client.ask(NAMES)
    clock.step(TTL - 1)

    assert "extensions" not in await client.ask(NAMES)


async def test_a_stale_answer_is_not_to_be_kept_by_clients(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 20.5)

    response = await client.post(NAMES)

    assert response.headers["cache-control"] == "private, max-age=0"
    assert response.headers["age"] == "120"


async def test_a_renewal_is_waited_for_once_its_time_is_over(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + RENEWING)

    answer = await client.ask(NAMES)

    assert (name_of(answer), staleness(answer)) == ("after", [])


async def test_many_who_find_a_page_stale_cost_one_renewal(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 1)

    answers = await asyncio.gather(*(client.ask(NAMES) for _ in range(30)))
    await settled(upstream, requests=2)

    assert {name_of(answer) for answer in answers} == {"before"}


async def test_a_renewal_outlives_the_client_that_began_it(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 1)
    answered = asyncio.Event()
    upstream.handler = late(answered, named("after"))
    await client.ask(NAMES)
    answered.set()
    await settled(upstream, requests=2)

    assert name_of(await client.ask(NAMES)) == "after"


async def test_a_renewal_is_made_with_the_etag(upstream: FakeUpstream, clock: ManualClock) -> None:
    async with stale_gateway(upstream, clock) as client:
        upstream.answer(json=named("before"), headers={"etag": '"a"'})
        await client.ask(NAMES)
        upstream.answer(304)
        clock.step(TTL + 1)
        await client.ask(NAMES)
        await settled(upstream, requests=2)

        answer = await client.ask(NAMES)

    assert (name_of(answer), staleness(answer)) == ("before", [])
    assert upstream.requests[1].headers["if-none-match"] == '"a"'


async def test_no_more_than_16_pages_are_renewed_behind_answers(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    documents = [f"{{ gallery(page: {page}) {{ pagination {{ total }} }} }}" for page in range(1, 21)]
    for document in documents:
        await client.ask(document)
    clock.step(TTL + 1)
    answered = asyncio.Event()
    upstream.handler = late(answered, page_body())

    for requests in (40, 60):
        answered.clear()
        asking = [asyncio.create_task(client.ask(document)) for document in documents]
        await settled(upstream, requests=requests)
        answered.set()
        answers = await asyncio.gather(*asking)
        await settled(upstream, requests=requests)
        clock.step(TTL + 1)

        assert [bool(staleness(answer)) for answer in answers] == [True] * 16 + [False] * 4


async def test_the_end_of_the_process_ends_renewals(upstream: FakeUpstream, clock: ManualClock) -> None:
    began = asyncio.Event()
    ended = asyncio.Event()

    async def endless(_request: httpx.Request) -> httpx.Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with stale_gateway(upstream, clock) as client:
        await kept_before(client, upstream)
        upstream.handler = endless
        clock.step(TTL + 1)
        await client.ask(NAMES)
        await began.wait()

    assert ended.is_set()


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
    upstream.answer(json=page_body(project_body(1, signed_image(seconds + 10))))
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
    upstream.answer(json=page_body(project_body(1, signed_image(seconds + 11))))
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


async def test_what_another_call_brought_before_a_failure_is_not_stale(
    client: Client, upstream: FakeUpstream
) -> None:
    fails = asyncio.Event()

    async def failing(_request: httpx.Request) -> httpx.Response:
        await fails.wait()
        return httpx.Response(500)

    upstream.handler = failing
    waiting = asyncio.create_task(client.ask(NAMES))
    await settled(upstream, requests=1)
    upstream.answer(json=named("after"))
    await client.post(NAMES, headers={"cache-control": "no-cache"})
    fails.set()

    answer = await waiting

    assert (name_of(answer), staleness(answer)) == ("after", [])


async def test_each_root_field_says_for_itself_what_is_stale(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await client.ask("{ gallery(page: 2) { pagination { total } } }")
    clock.step(60)
    await client.ask("{ gallery(page: 3) { pagination { total } } }")
    upstream.answer(503)
    clock.step(FAILING)

    answer = await client.ask(
        "{ gone: gallery { pagination { total } } second: gallery(page: 2) { pagination { total } }"
        " third: gallery(page: 3) { pagination { total } } __typename }"
    )

    assert staleness(answer) == [
        ("second", 1060, "UPSTREAM_UNAVAILABLE"),
        ("third", 1000, "UPSTREAM_UNAVAILABLE"),
    ]
    assert answer["data"]["gone"] is None
    assert [error["path"] for error in answer["errors"]] == [["gone"]]


async def test_a_stale_answer_beside_an_error_is_not_to_be_kept_either(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await client.ask(NAMES)
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    response = await client.post("{ gallery { projects { projectName } } new: project(projectId: 9) { id } }")

    assert response.headers["cache-control"] == "no-store"
    assert staleness(response.json()) == [("gallery", 140, "UPSTREAM_UNAVAILABLE")]


async def test_a_project_is_told_out_of_a_stale_page(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.handler = listing(2, 3)
    await client.ask("{ gallery { projects { projectName images { id } } } }")
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    answer = await client.ask(PROJECT)

    assert answer["data"] == {"project": {"projectName": "Project 1"}}
    assert staleness(answer) == [("project", 140, "UPSTREAM_UNAVAILABLE")]


async def test_the_youngest_page_that_knows_answers(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=named("old"))
    await client.ask(PROJECT)
    clock.step(TTL + RENEWING)
    upstream.answer(json=named("younger"))
    await client.ask(NAMES)
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    answer = await client.ask(PROJECT)

    assert answer["data"] == {"project": {"projectName": "younger"}}


async def test_a_project_that_was_not_there_is_still_not_there(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(404)
    await client.ask(PROJECT)
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    answer = await client.ask(PROJECT)

    assert answer["data"] == {"project": None}
    assert staleness(answer) == [("project", 140, "UPSTREAM_UNAVAILABLE")]


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


async def test_who_asks_past_the_cache_waits_for_a_renewal(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    clock.step(TTL + 1)

    answer = (await client.post(NAMES, headers={"cache-control": "no-cache"})).json()

    assert (name_of(answer), staleness(answer)) == ("after", [])


async def test_a_stale_answer_is_never_repeated_as_a_fresh_one(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await kept_before(client, upstream)
    for _ in range(3):
        await client.ask(NAMES)
    upstream.answer(503)
    for seconds in (TTL, 1, RENEWING, FAILING / 2):
        clock.step(seconds)

        answers = [await client.ask(NAMES) for _ in range(3)]

        assert [len(staleness(answer)) for answer in answers] == [1, 1, 1]


async def test_the_bill_tells_stale_answers_from_hits(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    bills = []
    await client.ask(NAMES)
    for seconds in (0, TTL + 1, RENEWING):
        clock.step(seconds)
        answer = (await client.post(NAMES, headers={"x-gateway-report": "1"})).json()
        upstream.answer(503)
        bill = answer["extensions"]["upstream"]
        bills.append((bill["calls"], bill["hits"], bill["stale"], bill["merged"]))
        await asyncio.sleep(0)

    assert bills == [(0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 1, 0)]


async def test_a_field_that_has_no_plan_says_what_is_stale_too(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    [project] = (await client.ask("{ gallery { projects { id } } }"))["data"]["gallery"]["projects"]
    node = f'{{ node(id: "{project["id"]}") {{ ... on Project {{ projectName }} }} }}'
    await client.ask(node)
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    answer = await client.ask(node)

    assert answer["data"]["node"] == {"projectName": "Project 7"}
    assert staleness(answer) == [("node", 140, "UPSTREAM_UNAVAILABLE")]


async def test_a_connection_says_the_age_of_the_page_that_it_stands_on(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.handler = listing(*[1] * 40)
    await client.ask("{ gallery(perPage: 20) { projects { projectName } } }")
    clock.step(50)
    await client.ask("{ gallery(perPage: 20, page: 2) { projects { projectName } } }")
    first = await client.ask("{ projects(first: 20) { pageInfo { endCursor } } }")
    after = first["data"]["projects"]["pageInfo"]["endCursor"]
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    answer = await client.ask(
        "query ($a: String) { projects(first: 20, after: $a) { nodes { projectName } } }", {"a": after}
    )

    assert [node["projectName"] for node in answer["data"]["projects"]["nodes"]][::19] == [
        "Project 21",
        "Project 40",
    ]
    assert staleness(answer) == [("projects", 140, "UPSTREAM_UNAVAILABLE")]


ENTITIES = "query ($refs: [_Any!]!) { _entities(representations: $refs) { ... on Project { projectName } } }"


async def test_entities_are_told_out_of_stale_pages_and_say_the_age_of_the_oldest(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.handler = listing(*[1] * 40)
    await client.ask("{ project(projectId: 30) { projectName } }")
    clock.step(TTL)
    await client.ask("{ gallery(perPage: 10) { projects { projectName } } }")
    upstream.answer(503)
    clock.step(TTL + RENEWING)
    references = [{"__typename": "Project", "projectId": number} for number in (1, 30, 39, *range(2, 11))]

    answer = await client.ask(ENTITIES, {"refs": references})

    names = [entity and entity["projectName"] for entity in answer["data"]["_entities"]]
    assert names == [f"Project {number}" if number < 39 else None for number in (1, 30, 39, *range(2, 11))]
    assert [error["path"] for error in answer["errors"]] == [["_entities", 2]]
    assert staleness(answer) == [("_entities", 240, "UPSTREAM_UNAVAILABLE")]


def late(
    answered: asyncio.Event, body: dict[str, Any]
) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    async def handler(_request: httpx.Request) -> httpx.Response:
        await answered.wait()
        return httpx.Response(200, json=body)

    return handler
