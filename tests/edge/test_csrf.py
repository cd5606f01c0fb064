"""No request that any web page could send unasked (a "simple" one) becomes an operation."""

import pytest

from tests.edge.sending import PREFLIGHTED, codes
from tests.fakes import TOKEN, Client, FakeUpstream, gateway

TOTAL = "{ gallery { pagination { total } } }"
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}

# https://fetch.spec.whatwg.org/#cors-safelisted-request-header
SIMPLE = [
    {},
    {"accept": "application/json", "accept-language": "en"},
    {"content-type": "text/plain"},
    {"content-type": "Text/Plain; charset=utf-8"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": ""},
    {"apollo-require-preflight": ""},
    # Something between the page and here may add these by itself, a session's token above all.
    AUTHORIZATION,
    {"x-request-id": "7", "cookie": "session=made-up"},
]
NOT_SIMPLE = [
    PREFLIGHTED,
    {"x-apollo-operation-name": "Totals"},
    {"content-type": "application/json"},
]


@pytest.mark.parametrize("headers", SIMPLE, ids=str)
@pytest.mark.parametrize("document", [TOTAL, "{ __schema { queryType { name } } }"], ids=["data", "schema"])
async def test_a_simple_get_is_refused(
    client: Client, upstream: FakeUpstream, headers: dict[str, str], document: str
) -> None:
    response = await client.http.get("/graphql", params={"query": document}, headers=headers)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert "apollo-require-preflight" in response.json()["errors"][0]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("headers", NOT_SIMPLE, ids=str)
async def test_a_get_that_a_browser_would_have_asked_about_is_answered(
    client: Client, headers: dict[str, str]
) -> None:
    response = await client.http.get("/graphql", params={"query": TOTAL}, headers=headers | AUTHORIZATION)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


@pytest.mark.parametrize("headers", SIMPLE[:7], ids=str)
async def test_a_simple_post_is_refused_whatever_stands_beside_it(
    client: Client, upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    sent = headers | PREFLIGHTED | AUTHORIZATION

    response = await client.http.post("/graphql", content=f'{{"query": "{TOTAL}"}}', headers=sent)

    assert response.status_code == 415
    assert upstream.requests == []


async def test_a_browser_that_visits_gets_the_page_all_the_same(client: Client) -> None:
    response = await client.http.get("/graphql", headers={"accept": "text/html,*/*;q=0.8"})

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


async def test_the_prevention_is_switched_off_by_its_setting(upstream: FakeUpstream) -> None:
    async with gateway(upstream, csrf_prevention=False) as client:
        response = await client.http.get("/graphql", params={"query": TOTAL}, headers=AUTHORIZATION)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
