"""The bill of an operation, for those who ask for it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gallery_gateway.upstream.resilience import ResilienceRules
from gallery_gateway.upstream.retries import RetryRules
from tests.execution.generated import VARIABLES, CallWriter, some_projects
from tests.fakes import TOKEN, Client, FakeUpstream, Handler, gateway, page_body, parameters_of
from tests.gallery.endpoints import ManualClock, listing, page_of

REPORT = {"x-gateway-report": "1"}
FAST_RETRIES = ResilienceRules(retries=RetryRules(first_wait_seconds=0))


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(8, 3)
    return upstream


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with gateway(upstream, clock=clock.clock, stale_while_revalidate_seconds=0) as client:
        yield client


def answers_from(projects: list[dict[str, Any]]) -> Handler:
    return lambda request: httpx.Response(200, json=page_of(projects, parameters_of(request)))


async def bill(client: Client, document: str, **headers: str) -> dict[str, Any]:
    response = await client.post(document, headers={**REPORT, **headers})
    upstream: dict[str, Any] = response.json()["extensions"]["upstream"]
    return upstream


def counted(bill: dict[str, Any]) -> tuple[int, int, int, int]:
    """Calls, hits, collapsed and merged."""
    return bill["calls"], bill["hits"], bill["collapsed"], bill["merged"]


async def test_nobody_gets_a_bill_unasked(client: Client) -> None:
    response = await client.post("{ gallery { pagination { total } } }")

    assert "extensions" not in response.json()


@pytest.mark.parametrize("value", ["0", "", " ", " 0\t"])
async def test_a_0_asks_for_no_bill(client: Client, value: str) -> None:
    response = await client.post("{ __typename }", headers={"x-gateway-report": value})

    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("value", [" 1", "1\t", " 1 "])
async def test_a_1_asks_for_the_bill_also_among_spaces(client: Client, value: str) -> None:
    response = await client.post("{ __typename }", headers={"x-gateway-report": value})

    assert response.json()["extensions"]["upstream"]["calls"] == 0


async def test_a_setting_gives_everybody_the_bill(upstream: FakeUpstream) -> None:
    async with gateway(upstream, report_always=True) as client:
        answer = await client.ask("{ gallery { pagination { total } } }")

    assert answer["extensions"]["upstream"]["calls"] == 1


async def test_an_operation_that_asks_for_nothing_costs_nothing(client: Client) -> None:
    assert await bill(client, "{ __typename }") == {
        "calls": 0,
        "hits": 0,
        "stale": 0,
        "collapsed": 0,
        "merged": 0,
        "narrowed": None,
        "bytes": 0,
        "milliseconds": 0,
        "requests": [],
    }


async def test_a_page_that_is_not_known_is_a_call(client: Client) -> None:
    assert counted(await bill(client, "{ gallery { pagination { total } } }")) == (1, 0, 0, 0)


async def test_a_page_that_is_known_is_a_hit(client: Client) -> None:
    await client.ask("{ gallery { projects { images { id } } } }")

    costs = await bill(client, "{ gallery { projects { id } } a: project(projectId: 2) { id } }")

    assert counted(costs) == (0, 2, 0, 0)
    assert (costs["bytes"], costs["milliseconds"]) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        "a: gallery { projects { id } } b: gallery { projects { id } } c: gallery { projects { id } }",
        """a: gallery { projects { id } } b: gallery { projects { images { id } } }
           c: gallery { projects { images(first: 3) { id } } }""",
        """a: gallery { projects { id } } b: gallery(perPage: 1) { projects { id } }
           c: project(projectId: 2) { id }""",
        "a: project(projectId: 2) { id } b: project(projectId: 2) { id } c: gallery { projects { id } }",
    ],
)
async def test_fields_that_share_a_call_of_the_operation_are_merged(client: Client, fields: str) -> None:
    assert counted(await bill(client, f"{{ {fields} }}")) == (1, 0, 0, 2)


async def test_a_call_of_another_operation_that_is_shared_is_collapsed(upstream: FakeUpstream) -> None:
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(_request: httpx.Request) -> httpx.Response:
        arrived.set()
        await released.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = hold
    async with gateway(upstream) as client:
        first = asyncio.create_task(bill(client, "{ gallery { projects { id } } }"))
        await arrived.wait()
        second = asyncio.create_task(bill(client, "{ gallery { projects { id } } }"))
        for _ in range(50):
            await asyncio.sleep(0)
        released.set()

        costs = await first, await second

    assert [counted(cost) for cost in costs] == [(1, 0, 0, 0), (0, 0, 1, 0)]
    assert costs[1]["bytes"] == 0


async def test_narrowing_tells_how_many_images_were_spared(client: Client) -> None:
    costs = await bill(client, "{ gallery { projects { images(first: 2) { id } } } }")

    assert costs["narrowed"] == {"from": 20 * 50, "to": 20 * 2}


async def test_narrowing_adds_up_over_the_fields(client: Client) -> None:
    costs = await bill(
        client,
        """{ gallery(perPage: 10, maxImagesPerProject: 5) { projects { images { id } } }
             project(projectId: 2, maxImages: 40) { id } }""",
    )

    assert costs["narrowed"] == {"from": 50 + 40, "to": 50 + 1}


async def test_an_operation_that_selects_all_images_is_not_narrowed(client: Client) -> None:
    costs = await bill(client, "{ gallery { projects { images { id } } } }")

    assert costs["narrowed"] is None


async def test_bytes_are_those_of_the_answers_that_came(client: Client, upstream: FakeUpstream) -> None:
    body = httpx.Response(200, json=page_body()).content
    upstream.handler = lambda _request: httpx.Response(200, content=body)

    costs = await bill(client, "{ a: gallery { projects { id } } b: gallery(page: 2) { projects { id } } }")

    assert costs["bytes"] == 2 * len(body)


@pytest.mark.parametrize("statuses", [[200], [500], [503, 503, 200], [404, 404], [503, 503, 503]])
async def test_milliseconds_are_those_of_all_requests(upstream: FakeUpstream, statuses: list[int]) -> None:
    left = iter(statuses)
    upstream.handler = lambda _request: httpx.Response(next(left), json=page_body())

    async with gateway(upstream, upstream_max_attempts=3, rules=FAST_RETRIES) as client:
        costs = await bill(client, "{ gallery { projects { id } } }")

    durations = [request["milliseconds"] for request in costs["requests"]]
    assert len(upstream.requests) == len(durations)
    assert min(durations) > 0
    assert costs["milliseconds"] == pytest.approx(sum(durations), abs=0.001 * len(durations))


async def test_a_call_that_fails_is_on_the_bill(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(503)

    costs = await bill(client, "{ a: gallery { projects { id } } b: gallery { projects { id } } }")

    assert counted(costs) == (1, 0, 0, 1)


async def test_a_page_that_is_renewed_is_a_call_without_bytes(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(), headers={"etag": '"a"'})
    await client.ask("{ gallery { projects { id } } }")
    clock.step(30)
    upstream.answer(304)

    costs = await bill(client, "{ gallery { projects { id } } }")

    assert (costs["calls"], costs["bytes"]) == (1, 0)


async def test_reading_past_the_cache_is_a_call(client: Client) -> None:
    await client.ask("{ gallery { projects { id } } }")

    costs = await bill(client, "{ gallery { projects { id } } }", **{"cache-control": "no-cache"})

    assert counted(costs) == (1, 0, 0, 0)


async def test_an_operation_without_a_caller_has_a_bill_of_nothing(client: Client) -> None:
    response = await client.post("{ gallery { projects { id } } }", token=None, headers=REPORT)

    assert counted(response.json()["extensions"]["upstream"]) == (0, 0, 0, 0)


QUERY = "page=1&per_page=20&order=desc&sort_by=original_filename&max_images_per_project=1"


def outlined(costs: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Outcome and status of each request."""
    return [(each["outcome"], each["status"]) for each in costs["requests"]]


async def test_a_call_is_listed_as_it_was_made(client: Client, upstream: FakeUpstream) -> None:
    body = httpx.Response(200, json=page_body()).content
    upstream.handler = lambda _request: httpx.Response(200, content=body, headers={"age": "2"})

    [request] = (await bill(client, "{ gallery { projects { id } } }"))["requests"]

    assert request.pop("milliseconds") > 0
    assert request == {
        "method": "GET",
        "path": "/gallery/by-project",
        "query": QUERY,
        "outcome": "miss",
        "status": 200,
        "bytes": len(body),
        "ageSeconds": 2,
    }
    assert upstream.requests[0].url.query.decode() == QUERY


async def test_a_field_that_shares_a_call_is_listed_with_the_call_that_it_was_merged_into(
    client: Client,
) -> None:
    costs = await bill(
        client,
        """{ other: gallery(status: "failed") { projects { id } }
             all: gallery { projects { id } } part: gallery(perPage: 1) { projects { id } } }""",
    )

    *calls, merged = costs["requests"]
    assert outlined(costs) == [("miss", 200), ("miss", 200), ("merged", None)]
    assert calls[merged["into"]]["query"] == merged["query"] == QUERY


async def test_an_answer_of_the_cache_is_listed_with_the_page_and_its_age(
    client: Client, clock: ManualClock
) -> None:
    await client.ask("{ gallery { projects { id } } }")
    clock.step(5)

    [request] = (await bill(client, "{ project(projectId: 2) { id } }"))["requests"]

    assert (request["outcome"], request["query"], request["ageSeconds"]) == ("hit", QUERY, 5)
    assert (request["status"], request["milliseconds"], request["bytes"]) == (None, 0, 0)


async def test_a_call_that_fails_is_listed_with_its_status_and_its_error(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(500)

    [request] = (await bill(client, "{ gallery { projects { id } } }"))["requests"]

    assert (request["status"], request["error"], request["ageSeconds"]) == (500, "UPSTREAM_UNAVAILABLE", None)


async def test_fields_with_the_same_request_are_listed_as_merged(client: Client) -> None:
    costs = await bill(
        client,
        "{ a: gallery(perPage: 7) { projects { id } } b: gallery(perPage: 7) { projects { id } } }",
    )

    call, merged = costs["requests"]
    assert counted(costs) == (1, 0, 0, 1)
    assert (call["outcome"], merged["outcome"], merged["into"]) == ("miss", "merged", 0)
    assert (merged["query"], merged["ageSeconds"]) == (call["query"], call["ageSeconds"])


async def test_fields_that_share_a_call_that_fails_are_listed_without_a_page(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(500)

    costs = await bill(client, "{ a: gallery { projects { id } } b: gallery { projects { id } } }")

    assert outlined(costs) == [("miss", 500), ("merged", None)]
    assert (costs["requests"][1]["into"], costs["requests"][1]["ageSeconds"]) == (0, None)


async def test_the_age_is_that_of_the_attempt_that_brought_the_page(upstream: FakeUpstream) -> None:
    page = httpx.Response(200, json=page_body(), headers={"age": "2"})
    answers = iter([httpx.Response(503), page])
    upstream.handler = lambda _request: next(answers)

    async with gateway(upstream, upstream_max_attempts=2) as client:
        costs = await bill(client, "{ a: gallery { projects { id } } b: gallery { projects { id } } }")

    first, *ages = [each["ageSeconds"] for each in costs["requests"]]
    assert first is None
    assert ages == pytest.approx([2, 2], abs=0.5)
    assert (costs["calls"], costs["requests"][2]["into"]) == (1, 1)


async def test_a_field_that_has_to_wait_shares_no_call(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(429, headers={"retry-after": "60"})
    await client.ask("{ gallery { projects { id } } }")

    costs = await bill(client, "{ a: gallery { projects { id } } b: gallery { projects { id } } }")

    assert (counted(costs), costs["requests"]) == ((0, 0, 0, 0), [])


async def test_every_attempt_is_listed(upstream: FakeUpstream) -> None:
    answers = iter([httpx.Response(502), httpx.Response(200, json=page_body())])
    upstream.handler = lambda _request: next(answers)

    async with gateway(upstream, upstream_max_attempts=2) as client:
        costs = await bill(client, "{ gallery { projects { id } } }")

    assert costs["calls"] == 1
    assert outlined(costs) == [("miss", 502), ("miss", 200)]


async def test_a_page_past_the_end_is_listed_with_the_call_for_the_totals(
    client: Client, upstream: FakeUpstream
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_first = request.url.params["page"] == "1"
        return httpx.Response(200, json=page_body()) if is_first else httpx.Response(404)

    upstream.handler = answer

    costs = await bill(client, "{ gallery(page: 9) { projects { id } } }")

    assert outlined(costs) == [("miss", 404), ("miss", 200)]
    assert costs["calls"] == 1
    assert all("error" not in each for each in costs["requests"])


async def test_a_stale_page_is_listed_beside_the_call_that_failed(
    upstream: FakeUpstream, clock: ManualClock
) -> None:
    async with gateway(upstream, clock=clock.clock, stale_while_revalidate_seconds=0) as client:
        await client.ask("{ gallery { projects { id } } }")
        clock.step(60)
        upstream.answer(503)

        costs = await bill(client, "{ gallery { projects { id } } }")

    assert outlined(costs) == [("miss", 503), ("stale", None)]
    assert costs["requests"][1]["ageSeconds"] == 60


async def test_a_page_that_is_not_modified_is_listed_with_a_304(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(), headers={"etag": '"a"'})
    await client.ask("{ gallery { projects { id } } }")
    clock.step(30)
    upstream.answer(304)

    assert outlined(await bill(client, "{ gallery { projects { id } } }")) == [("miss", 304)]


async def test_at_most_100_requests_are_listed(upstream: FakeUpstream) -> None:
    upstream.handler = listing(*(1 for _ in range(100)))
    ids = " ".join(f'{{__typename: "Project", projectId: {number}}}' for number in range(1, 101))
    entities = f"_entities(representations: [{ids}]) {{ ... on Project {{ id }} }}"
    async with gateway(upstream) as client:
        await client.ask("{ gallery(perPage: 100) { projects { id } } }")

        costs = await bill(client, f"{{ {entities} gallery {{ __typename }} }}")

    assert costs["hits"] == 101
    assert len(costs["requests"]) == 100


async def test_a_report_shows_no_host_and_no_token(upstream: FakeUpstream) -> None:
    async with gateway(upstream, upstream_url="https://host.example/base") as client:
        response = await client.post("{ gallery { projects { id } } }", headers=REPORT)

    assert upstream.requests[0].url.path == "/base/gallery/by-project"
    assert response.json()["extensions"]["upstream"]["requests"][0]["path"] == "/gallery/by-project"
    assert "host.example" not in response.text
    assert TOKEN not in response.text


async def test_the_calls_of_generated_operations_are_listed_as_the_endpoint_received_them(
    upstream: FakeUpstream,
) -> None:
    calls = 0
    async with gateway(upstream) as client:
        for seed in range(60):
            chance = random.Random(seed)
            document, projects = CallWriter(chance).operation(), some_projects(chance)
            upstream.requests.clear()
            upstream.handler = answers_from(projects)

            response = await client.post(document, VARIABLES, token=f"token-{seed}", headers=REPORT)

            costs = response.json().get("extensions", {}).get("upstream", {"requests": [], "calls": 0})
            listed = Counter(each["query"] for each in costs["requests"] if each["outcome"] == "miss")
            assert listed == Counter(request.url.query.decode() for request in upstream.requests)
            assert sum(listed.values()) == costs["calls"]
            calls += costs["calls"]
    assert calls > 60


class FaultyUpstream:
    """Answers from the same projects, but fails now and then; the ETag of a page never changes."""

    def __init__(self, chance: random.Random, projects: list[dict[str, Any]]) -> None:
        self._chance = chance
        self._answer = answers_from(projects)

    def __call__(self, request: httpx.Request) -> Any:
        if self._chance.random() < 0.3:
            return httpx.Response(self._chance.choice([500, 502, 503]))
        if "if-none-match" in request.headers:
            return httpx.Response(304)
        response: Any = self._answer(request)
        response.headers["etag"] = '"same"'
        return response


async def test_the_requests_of_generated_operations_are_as_many_as_the_counts_say(clock: ManualClock) -> None:
    upstream, seen, token = FakeUpstream(), Counter[str](), TOKEN
    async with gateway(upstream, clock=clock.clock, upstream_max_attempts=2, rules=FAST_RETRIES) as client:
        for seed in range(120):
            chance = random.Random(seed)
            if seed % 4 == 0:
                upstream.handler = FaultyUpstream(chance, some_projects(chance))
                token = f"token-{seed}"
            headers = {**REPORT, **chance.choice([{}, {}, {"cache-control": "no-cache"}])}
            clock.step(chance.choice([0, 2, 31, 60]))

            response = await client.post(
                CallWriter(chance).operation(), VARIABLES, token=token, headers=headers
            )

            costs = response.json().get("extensions", {}).get("upstream", {"requests": []})
            listed = Counter(each["outcome"] for each in costs["requests"])
            if not costs["requests"] or len(costs["requests"]) == 100:
                continue
            assert counted(costs)[1:] == (
                listed["hit"] + listed["shared"],
                listed["collapsed"],
                listed["merged"],
            )
            assert (costs["stale"], costs["calls"] <= listed["miss"]) == (listed["stale"], True)
            for each in costs["requests"]:
                if "error" in each:
                    assert each["ageSeconds"] is None
                if each["outcome"] == "merged" and each["into"] is not None:
                    assert costs["requests"][each["into"]]["outcome"] == "miss"
            seen += listed
            seen["error"] += sum("error" in each for each in costs["requests"])
    assert min(seen[name] for name in ("hit", "stale", "miss", "merged", "error")) > 20


async def test_a_response_with_a_report_is_not_replayed(client: Client) -> None:
    hits = [outlined(await bill(client, "{ gallery { projects { id } } }")) for _ in range(4)]

    assert hits == [[("miss", 200)], *[[("hit", None)]] * 3]


async def test_a_call_is_not_listed_for_the_operation_that_comes_next(client: Client) -> None:
    await bill(client, "{ gallery { projects { id } } }")

    assert outlined(await bill(client, "{ gallery(page: 2) { projects { id } } }")) == [("miss", 200)]
