"""`X-Gateway-Report: plan` answers with the calls of an operation and makes none; every limit holds."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.edge.policy import Policy, RequestedReport
from gallery_gateway.edge.request import HTTPRequest
from tests.edge.sending import GRAPHQL_RESPONSE, PREFLIGHTED, codes
from tests.fakes import TOKEN, Client, FakeUpstream, gateway, page_body, parameters_of

PLAN = {"x-gateway-report": "plan"}
TOTAL = "{ gallery { pagination { total } } }"


async def planned(client: Client, document: str, variables: dict[str, Any] | None = None) -> Any:
    return (await client.post(document, variables, headers=PLAN)).json()


async def test_a_plan_comes_without_data_and_without_a_call(client: Client, upstream: FakeUpstream) -> None:
    response = await client.post(TOTAL, headers=PLAN)

    assert response.status_code == 200
    assert response.json() == {
        "data": None,
        "extensions": {
            "plan": {
                "calls": [
                    {
                        "method": "GET",
                        "path": "/gallery/by-project",
                        "query": "page=1&per_page=20&order=desc&sort_by=original_filename"
                        "&max_images_per_project=1",
                        "fields": [
                            {"key": "gallery", "reason": "FETCHED", "narrowed": {"from": 1000, "to": 20}}
                        ],
                        "images": 20,
                        "bytes": 77_000,
                    }
                ],
                "further": [],
                "images": 20,
                "bytes": 77_000,
                "maxCalls": 1,
                "maxImages": 20,
                "budgetLeft": {"calls": 19, "images": 19_980},
            }
        },
    }
    assert upstream.requests == []


# A header arrives in Latin-1, and without control characters except for the tab.
REPORTS = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=6) | st.sampled_from(
    ["PLAN", "Plan", "plan ", "\tpLaN", "plan,1", "plan, plan", "plans", "1, 1", "01", "true", "false", "yes"]
)


@given(value=REPORTS)
def test_any_other_spelling_than_plan_makes_a_plan_or_is_refused_or_is_documented(value: str) -> None:
    policy = Policy(prevents_csrf=False)
    headers = [(b"content-type", b"application/json"), (b"x-gateway-report", value.encode("latin-1"))]
    request = HTTPRequest({"method": "POST", "path": "/", "query_string": b"", "headers": headers})

    decision = policy.decide(request)

    meaning = {"plan": RequestedReport.PLAN, "1": RequestedReport.USAGE, "0": None, "": None}
    # As RFC 9110, section 5.5, and then in any case.
    name = value.encode("latin-1").strip().lower().decode("latin-1")
    if name in meaning:
        assert (decision.rejection, decision.report) == (None, meaning[name])
    else:
        assert decision.rejection is not None


@pytest.mark.parametrize("value", ["PLAN", "Plan", " plan\t"])
async def test_a_plan_in_another_spelling_is_a_plan(
    client: Client, upstream: FakeUpstream, value: str
) -> None:
    answer = (await client.post(TOTAL, headers={"x-gateway-report": value})).json()

    assert answer["extensions"].keys() == {"plan"}
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("value", ["plan,1", "plan plan", "plans", "pian", "yes", "2", "true", "false"])
async def test_an_operation_with_an_unknown_report_is_refused(
    client: Client, upstream: FakeUpstream, method: str, value: str
) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", **PREFLIGHTED, "x-gateway-report": value}
    sent: dict[str, Any] = {"params": {"query": TOTAL}} if method == "GET" else {"json": {"query": TOTAL}}

    response = await client.http.request(method, "/graphql", headers=headers, **sent)

    assert (response.status_code, codes(response)) == (400, ["BAD_REQUEST"])
    assert response.json()["errors"][0]["message"] == "X-Gateway-Report must be `plan`, `1` or `0`."
    assert upstream.requests == []


async def test_the_operation_makes_the_calls_of_its_plan(client: Client, upstream: FakeUpstream) -> None:
    document = """query ($n: Int) {
        a: gallery(page: $n) { projects { id } } b: project(projectId: 7, status: "x") { id } }"""
    [*calls] = (await planned(client, document, {"n": 3}))["extensions"]["plan"]["calls"]

    await client.ask(document, {"n": 3})

    assert [request.url.query.decode() for request in upstream.requests] == [call["query"] for call in calls]


LIVE = "subscription { gallery(perPage: 3) { projects { images(first: 2) { id } } } }"


async def test_a_subscription_is_planned_like_the_query_and_opens_no_stream(
    client: Client, upstream: FakeUpstream
) -> None:
    plans = [await planned(client, document) for document in (LIVE, LIVE.removeprefix("subscription "))]
    streamed = await client.post(LIVE, headers={**PLAN, "accept": "text/event-stream"})

    assert plans[0] == plans[1]
    assert plans[0]["extensions"]["plan"]["images"] == 6
    name, data, *end = streamed.text.split("\n")
    assert name == "event: next"
    assert json.loads(data.removeprefix("data: ")) == plans[0]
    assert end == ["", "event: complete", "data:", "", ""]
    assert upstream.requests == []


async def test_a_plan_does_not_depend_on_what_is_cached(client: Client) -> None:
    before = await planned(client, TOTAL)
    await client.ask(TOTAL)

    assert await planned(client, TOTAL) == before


async def test_a_plan_keeps_pages_apart_for_a_caller_whose_pages_came_in_another_size(
    client: Client, upstream: FakeUpstream
) -> None:
    document = "{ a: gallery { projects { id } } b: gallery(perPage: 2) { projects { id } } }"
    upstream.answer(json=page_body(per_page=5))
    await client.ask(TOTAL)

    plan = (await planned(client, document))["extensions"]["plan"]

    assert len(plan["calls"]) == 2


async def test_a_plan_is_neither_stored_nor_replayed_nor_compared_with_an_etag(
    client: Client, upstream: FakeUpstream
) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", **PREFLIGHTED}
    params = {"query": TOTAL}
    first = await client.http.get("/graphql", params=params, headers=headers)
    known = {"if-none-match": first.headers["etag"]}

    for _ in range(2):
        response = await client.http.get("/graphql", params=params, headers={**headers, **PLAN, **known})

        assert response.status_code == 200
        assert response.json()["data"] is None
        assert response.headers["cache-control"] == "no-store"
        assert "etag" not in response.headers
    assert len(upstream.requests) == 1


async def test_a_plan_needs_a_token_like_the_operation(client: Client) -> None:
    response = (await client.post(TOTAL, token=None, headers=PLAN)).json()

    assert response["data"] is None
    assert response["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert response["errors"][0]["path"] == ["gallery"]
    assert response["extensions"]["plan"]["calls"] == []


async def test_a_token_in_the_url_is_refused_for_a_plan_too(client: Client) -> None:
    response = await client.http.post(f"/graphql?token={TOKEN}", json={"query": TOTAL}, headers=PLAN)

    assert codes(response) == ["BAD_REQUEST"]


async def test_a_plan_by_get_needs_a_preflight(client: Client) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "accept": GRAPHQL_RESPONSE, **PLAN}

    response = await client.http.get("/graphql", params={"documentId": "x"}, headers=headers)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ " + " ".join(f"a{n}: gallery {{ __typename }}" for n in range(60)) + " }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("query ($n: Int!) { gallery(page: $n) { pagination { total } } }", "BAD_USER_INPUT"),
    ],
)
async def test_an_operation_that_is_not_run_has_no_plan(client: Client, document: str, code: str) -> None:
    headers = {**PLAN, "accept": GRAPHQL_RESPONSE}

    response = await client.post(document, headers=headers)

    assert (response.status_code, codes(response)) == (400, [code])
    assert response.json().keys() == {"errors"}


async def test_an_operation_over_its_budget_has_a_plan_with_the_error(
    upstream: FakeUpstream,
) -> None:
    async with gateway(upstream, operation_max_calls=1) as client:
        answer = await planned(client, "{ a: gallery { __typename } b: gallery(page: 2) { __typename } }")

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"] * 2
    assert len(answer["extensions"]["plan"]["calls"]) == 2
    assert answer["extensions"]["plan"]["budgetLeft"]["calls"] == -1


async def test_only_trusted_documents_are_planned(upstream: FakeUpstream, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"total": TOTAL}))
    async with gateway(upstream, trusted_documents=path) as client:

        async def plan_of(**body: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {TOKEN}", **PLAN}
            return await client.http.post("/graphql", json=body, headers=headers)

        trusted = await plan_of(documentId="total")
        other = await plan_of(query="{ gallery { pagination { pages } } }")

    assert len(trusted.json()["extensions"]["plan"]["calls"]) == 1
    assert other.status_code == 403
    assert codes(other) == ["QUERY_NOT_IN_SAFELIST"]


async def test_a_plan_comes_before_the_report_that_every_response_has(upstream: FakeUpstream) -> None:
    async with gateway(upstream, report_always=True) as client:
        answer = await planned(client, TOTAL)

    assert answer["extensions"].keys() == {"plan"}


async def test_a_plan_is_made_while_the_api_lets_the_caller_wait(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.answer(429, headers={"retry-after": "60"})
    await client.ask(TOTAL)

    assert len((await planned(client, TOTAL))["extensions"]["plan"]["calls"]) == 1


async def test_variables_reach_the_queries_encoded(client: Client, upstream: FakeUpstream) -> None:
    document = "query ($s: String) { gallery(search: $s) { pagination { total } } }"
    [call] = (await planned(client, document, {"s": "a&b=ü"}))["extensions"]["plan"]["calls"]

    await client.ask(document, {"s": "a&b=ü"})

    assert call["query"] == upstream.requests[0].url.query.decode()
    assert parameters_of(upstream.requests[0])["search"] == "a&b=ü"


async def test_the_plan_in_the_docs_is_the_plan_of_its_operation(client: Client) -> None:
    page = (Path(__file__).parents[2] / "docs" / "frontend.md").read_text()
    _, section = page.split("## The calls of an operation, before it runs")
    [query] = re.findall(r"-d '(.*)'", section)
    shown = section.split("```json")[1].split("```")[0]

    assert await planned(client, json.loads(query)["query"]) == json.loads(shown)


async def test_without_introspection_a_plan_suggests_no_names(upstream: FakeUpstream) -> None:
    document = "query ($order: SortOrder!) { gallery(order: $order) { pagination { total } } }"
    async with gateway(upstream, introspection=False) as client:
        answers = [
            await planned(client, document, {"order": "DES"}),
            await client.ask(document, {"order": "DES"}),
        ]

    assert answers[0] == answers[1]
    assert "DESC" not in json.dumps(answers)
