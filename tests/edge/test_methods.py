from typing import Any

import pytest

from tests.edge.sending import GRAPHQL_RESPONSE, JSON, PREFLIGHTED, codes
from tests.fakes import TOKEN, Client

TOTAL = "{ gallery { pagination { total } } }"
NAMED = "query($id: Int!) { project(projectId: $id) { projectName } }"


async def get(client: Client, *, accept: str = JSON, **parameters: str) -> Any:
    headers = {"accept": accept, "authorization": f"Bearer {TOKEN}", **PREFLIGHTED}
    return await client.http.get("/graphql", params=parameters, headers=headers)


async def test_a_query_by_get_is_answered_as_by_post(client: Client) -> None:
    by_post = await client.post(TOTAL)

    by_get = await get(client, query=TOTAL)

    assert by_get.status_code == 200
    assert by_get.json() == by_post.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_variables_come_by_get_as_json(client: Client) -> None:
    response = await get(client, query=NAMED, variables='{"id": 7}', extensions='{"some": "thing"}')

    assert response.json() == {"data": {"project": {"projectName": "Project 7"}}}


async def test_an_operation_is_named_by_get(client: Client) -> None:
    response = await get(
        client, query="query A { a: __typename } query B { b: __typename }", operationName="B"
    )

    assert response.json() == {"data": {"b": "Query"}}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"operationName": "A"},
        {"query": "{ __typename }", "variables": "{"},
        {"query": "{ __typename }", "variables": "[]"},
        {"query": "{ __typename }", "variables": '"x"'},
        {"query": "{ __typename }", "variables": '{"a": NaN}'},
        {"query": "{ __typename }", "variables": '{"a": "\\ud800"}'},
        {"query": "{ __typename }", "variables": '{"a": ' + "[" * 5_000},
        {"query": "{ __typename }", "extensions": "7"},
        [("query", "{ __typename }"), ("query", "{ x }")],
    ],
)
async def test_a_query_string_that_is_no_request_is_refused_with_400(client: Client, parameters: Any) -> None:
    response = await client.http.get("/graphql", params=parameters, headers=PREFLIGHTED)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]


@pytest.mark.parametrize("variables", ["", "null"])
async def test_no_variables_by_get_are_none(client: Client, variables: str) -> None:
    response = await get(client, query="{ __typename }", variables=variables)

    assert response.json() == {"data": {"__typename": "Query"}}


async def test_a_query_string_with_broken_escapes_is_no_server_error(client: Client) -> None:
    response = await client.http.get("/graphql?query=%ff%fe%00&variables=%c3%28", headers=PREFLIGHTED)

    assert response.status_code == 400


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
@pytest.mark.parametrize(
    "document",
    [
        "mutation { __typename }",
        "query A { __typename } mutation B { __typename }",
    ],
)
async def test_a_mutation_is_refused_by_get_with_405(client: Client, document: str, accept: str) -> None:
    response = await get(client, query=document, operationName="B" if "B" in document else "", accept=accept)

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert codes(response) == ["BAD_REQUEST"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"])
async def test_any_other_method_is_refused_with_405_and_a_graphql_error(client: Client, method: str) -> None:
    response = await client.http.request(method, "/graphql", json={"query": "{ __typename }"})

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert codes(response) == ["BAD_REQUEST"]


@pytest.mark.parametrize(
    "path", ["/graphql", "/graphql/", "/livez", "/readyz", "/nothing", "/graphiql/LICENSES.txt"]
)
async def test_head_is_get_without_a_body(client: Client, path: str) -> None:
    parameters = {"query": TOTAL} if "graphql" in path else {}
    headers = {"authorization": f"Bearer {TOKEN}", **PREFLIGHTED}

    get = await client.http.get(path, params=parameters, headers=headers)
    head = await client.http.head(path, params=parameters, headers=headers)

    assert get.content
    assert head.content == b""
    assert head.status_code == get.status_code
    changing = {"x-request-id", "age", "cache-control"}
    assert {*head.headers.items()} ^ {*get.headers.items()} <= {
        item for response in (head, get) for item in response.headers.items() if item[0] in changing
    }


async def test_a_slash_behind_the_path_changes_nothing(client: Client) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}

    response = await client.http.post("/graphql/", json={"query": TOTAL}, headers=headers)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_the_page_is_not_below_the_path(client: Client) -> None:
    response = await client.http.get("/graphql/", headers={"accept": "text/html"})

    assert response.status_code == 308
    assert str(response.url.join(response.headers["location"])) == "http://gateway/graphql"


@pytest.mark.parametrize("path", ["/", "/api", "/graphql/x", "/graphiql/nothing"])
async def test_any_other_path_names_that_of_the_endpoint(client: Client, path: str) -> None:
    response = await client.http.get(path)

    assert response.status_code == 404
    assert response.json() == {"detail": "Nothing is here; the GraphQL endpoint is /graphql."}
