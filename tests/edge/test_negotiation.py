import pytest

from gallery_gateway.edge.policy import negotiate
from tests.edge.sending import GRAPHQL_RESPONSE, JSON, PREFLIGHTED, codes, send
from tests.fakes import Client, FakeUpstream, gateway

HTML = "text/html"
TYPENAME = b'{"query": "{ __typename }"}'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        ("Application/GraphQL-Response+JSON; charset=utf-8", GRAPHQL_RESPONSE),
        ("*/*", JSON),
        ("application/*", JSON),
        ("", JSON),
        (f"{GRAPHQL_RESPONSE}, {JSON}", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", JSON),
        (f"{JSON}; q=0.5, {GRAPHQL_RESPONSE}; q=0.9", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; q=0.5, {JSON}; q=0.9", JSON),
        (f"{GRAPHQL_RESPONSE}; q=0.1, */*", JSON),
        (f"{JSON}; q=0.5, */*", GRAPHQL_RESPONSE),
        (f"{JSON}; q=0, */*", GRAPHQL_RESPONSE),
        ("application/*; q=0.2, */*; q=0.9", JSON),
        (f"image/png, {GRAPHQL_RESPONSE}; q=0.1", GRAPHQL_RESPONSE),
        (f"{JSON}; q=lots, {GRAPHQL_RESPONSE}; q=0.1", GRAPHQL_RESPONSE),
        (BROWSER, JSON),
    ],
)
async def test_an_answer_has_the_media_type_that_is_liked_best(
    client: Client, accept: str, media_type: str
) -> None:
    response = await send(client, TYPENAME, accept=accept)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert response.json() == {"data": {"__typename": "Query"}}


async def test_an_answer_is_json_if_accept_is_missing(client: Client) -> None:
    del client.http.headers["accept"]

    response = await send(client, TYPENAME)

    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"


async def test_accept_headers_count_together(client: Client) -> None:
    several = [("accept", f"{JSON};q=0.1"), ("accept", GRAPHQL_RESPONSE), ("content-type", JSON)]

    response = await client.http.post("/graphql", content=TYPENAME, headers=several)

    assert response.headers["content-type"] == f"{GRAPHQL_RESPONSE}; charset=utf-8"


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "text/html",
        "text/*",
        "image/*, text/csv",
        "nonsense",
        "*/*; q=0",
        f"{JSON}; q=0, {GRAPHQL_RESPONSE}; q=0, */*",
        f"{JSON}; q=nan",
    ],
)
async def test_an_operation_that_accepts_no_json_is_refused_with_406(client: Client, accept: str) -> None:
    response = await send(client, TYPENAME, accept=accept)

    assert response.status_code == 406
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert codes(response) == ["BAD_REQUEST"]


async def test_a_refused_accept_costs_no_upstream_request(client: Client, upstream: FakeUpstream) -> None:
    await client.post("{ gallery { pagination { total } } }", headers={"accept": "text/plain"})

    assert upstream.requests == []


async def test_a_browser_that_opens_a_query_gets_its_result_if_there_is_no_page(
    upstream: FakeUpstream,
) -> None:
    async with gateway(upstream, graphiql=False) as client:
        response = await client.http.get(
            "/graphql", params={"query": "{ __typename }"}, headers={"accept": BROWSER, **PREFLIGHTED}
        )

    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER, HTML),
        ("text/*", HTML),
        (f"{HTML}, {JSON}", HTML),
        (f"{JSON}, {HTML}", JSON),
        (f"{HTML}; q=0.5, {JSON}", JSON),
        ("*/*", JSON),
        (f"{HTML}; q=0, */*", JSON),
    ],
)
def test_the_page_is_chosen_if_it_is_preferred(accept: str, media_type: str) -> None:
    assert negotiate(accept, offers_html=True) == media_type


@pytest.mark.parametrize(
    ("document", "status_of_json", "status_of_graphql_response"),
    [
        ("{ __typename }", 200, 200),
        ("{", 200, 400),
        ("{ unheardOf }", 200, 400),
        ("query($id: Int!) { project(projectId: $id) { id } }", 200, 400),
        ("query A { __typename } query B { __typename }", 200, 400),
        # An error of a field is a part of the answer, and no refusal.
        ("{ gallery(perPage: 0) { pagination { total } } }", 200, 200),
    ],
)
async def test_only_graphql_response_shows_in_the_status_that_nothing_was_run(
    client: Client, document: str, status_of_json: int, status_of_graphql_response: int
) -> None:
    as_json = await client.post(document, headers={"accept": JSON})
    as_graphql_response = await client.post(document, headers={"accept": GRAPHQL_RESPONSE})

    assert as_json.status_code == status_of_json
    assert as_graphql_response.status_code == status_of_graphql_response
    assert as_json.json() == as_graphql_response.json()


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_a_request_that_is_refused_has_no_data_entry(client: Client, accept: str) -> None:
    response = await client.post("{ unheardOf }", headers={"accept": accept})

    assert "data" not in response.json()


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_a_body_that_is_no_request_is_a_400_of_either_media_type(client: Client, accept: str) -> None:
    response = await send(client, b"[]", accept=accept)

    assert response.status_code == 400
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"


REFUSED = [(b'{"query": "{"}', GRAPHQL_RESPONSE), (b"[]", JSON), (TYPENAME, "text/plain")]


@pytest.mark.parametrize(("body", "accept"), REFUSED)
async def test_no_refusal_is_stored(client: Client, body: bytes, accept: str) -> None:
    response = await send(client, body, accept=accept)

    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("body", "accept"), [(TYPENAME, JSON), *REFUSED])
async def test_no_answer_is_sniffed_or_given_to_another_caller(
    client: Client, body: bytes, accept: str
) -> None:
    response = await send(client, body, accept=accept)

    assert response.headers["vary"] == "Authorization, Accept, Accept-Encoding, X-Gateway-Report"
    assert response.headers["x-content-type-options"] == "nosniff"
