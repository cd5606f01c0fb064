import pytest

from tests.edge.sending import codes, send
from tests.fakes import TOKEN, Client, FakeUpstream

TOTAL = "{ gallery { pagination { total } } }"
TOTAL_BODY = b'{"query": "{ gallery { pagination { total } } }"}'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
async def test_a_bearer_token_goes_upstream_whatever_the_case_of_its_scheme(
    client: Client, upstream: FakeUpstream, scheme: str
) -> None:
    response = await send(client, TOTAL_BODY, authorization=f"{scheme} {TOKEN}")

    assert codes(response) == []
    assert upstream.requests[0].headers.get_list("authorization") == [f"Bearer {TOKEN}"]


async def test_spaces_around_a_token_are_no_part_of_it(client: Client, upstream: FakeUpstream) -> None:
    await send(client, TOTAL_BODY, authorization=f" Bearer {TOKEN} \t")

    assert upstream.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic YWRhOnNlY3JldA==",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer\t{TOKEN}",
        TOKEN,
        f"XBearer {TOKEN}",
        "",
    ],
)
async def test_what_is_no_bearer_token_is_unauthenticated_and_costs_no_upstream_request(
    client: Client, upstream: FakeUpstream, authorization: str
) -> None:
    response = await send(client, TOTAL_BODY, authorization=authorization)

    assert codes(response) == ["UNAUTHENTICATED"]
    assert upstream.requests == []


async def test_a_token_beyond_ascii_is_unauthenticated_and_costs_no_upstream_request(
    client: Client, upstream: FakeUpstream
) -> None:
    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer caf\xe9")]

    response = await client.http.post("/graphql", content=TOTAL_BODY, headers=headers)

    assert codes(response) == ["UNAUTHENTICATED"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "document",
    [TOTAL, "{ project(projectId: 7) { id } }", "{ a: gallery { pagination { total } } __typename }"],
)
async def test_without_a_token_there_is_no_upstream_request(
    client: Client, upstream: FakeUpstream, document: str
) -> None:
    response = await client.post(document, token=None)

    assert codes(response) == ["UNAUTHENTICATED"]
    assert upstream.requests == []


async def test_the_error_for_a_missing_token_explains_how_to_send_one(client: Client) -> None:
    answer = await client.ask(TOTAL, token=None)

    assert answer["data"] == {"gallery": None}
    assert answer["errors"][0]["path"] == ["gallery"]
    assert "Authorization: Bearer" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("document", "data"),
    [
        ("{ __typename }", {"__typename": "Query"}),
        ("{ __schema { queryType { name } } }", {"__schema": {"queryType": {"name": "Query"}}}),
        ('{ __type(name: "Node") { kind } }', {"__type": {"kind": "INTERFACE"}}),
    ],
)
async def test_the_graph_itself_may_be_read_without_a_token(
    client: Client, document: str, data: dict[str, object]
) -> None:
    answer = await client.ask(document, token=None)

    assert answer == {"data": data}


@pytest.mark.parametrize("second", [TOKEN, "another-made-up-token"])
async def test_two_authorization_headers_are_refused(
    client: Client, upstream: FakeUpstream, second: str
) -> None:
    twice = [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {second}")]

    response = await client.http.post("/graphql", json={"query": TOTAL}, headers=twice)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert upstream.requests == []
