"""What is told out of a page past its freshness, and how it is told."""

import asyncio

import httpx

from tests.fakes import Client, FakeUpstream
from tests.gallery.endpoints import ManualClock, listing
from tests.gallery.stale.pages import (
    FAILING,
    NAMES,
    PROJECT,
    RENEWING,
    TTL,
    kept_before,
    name_of,
    named,
    settled,
    staleness,
)


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
    selection = "nodes { projectName } pageInfo { endCursor }"
    step = f"query ($a: String) {{ projects(first: 20, after: $a) {{ {selection} }} }}"
    first = await client.ask(step)
    after = first["data"]["projects"]["pageInfo"]["endCursor"]
    clock.step(50)
    await client.ask(step, {"a": after})
    upstream.answer(503)
    clock.step(TTL + RENEWING)

    answer = await client.ask(step, {"a": after})

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
