"""Any body gets a response in JSON, and never a server error."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge.sending import GRAPHQL_RESPONSE, JSON, PREFLIGHTED, send
from tests.fakes import Client

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.sampled_from(
    [
        "{ __typename }",
        "query A($id: Int!) { project(projectId: $id) { projectName } }",
        "query A($s: String) { gallery(search: $s) { pagination { total } } }",
        "query A($f: [String!]) { gallery(feedback: $f) { pagination { total } } }",
        "query A($id: ID!) { node(id: $id) { id } }",
        "query A { __typename } query B { __typename }",
        "mutation { __typename }",
        "{",
        "",
    ]
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "query": DOCUMENTS | ANY_JSON,
        "operationName": st.sampled_from(["A", "B", "", None]) | ANY_JSON,
        "variables": st.dictionaries(st.sampled_from(["id", "s", "f"]), ANY_JSON) | ANY_JSON,
        "extensions": ANY_JSON,
        "unknown": ANY_JSON,
    },
)
MEDIA_TYPES = st.sampled_from([JSON, GRAPHQL_RESPONSE])


def check(response: httpx.Response) -> None:
    assert response.status_code == 200 or 400 <= response.status_code < 500
    answer = response.json()
    assert "data" in answer or answer["errors"]
    assert all(error["message"] and error["extensions"]["code"] for error in answer.get("errors", []))
    assert "INTERNAL_SERVER_ERROR" not in response.text


@MANY
@given(body=st.binary(max_size=200), accept=MEDIA_TYPES)
async def test_any_bytes_are_answered_or_refused(client: Client, body: bytes, accept: str) -> None:
    response = await send(client, body, accept=accept)

    check(response)


@MANY
@given(value=ANY_JSON | REQUESTS, ascii_only=st.booleans(), accept=MEDIA_TYPES)
async def test_any_json_is_answered_or_refused(
    client: Client, value: Any, ascii_only: bool, accept: str
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    response = await send(client, body, accept=accept, authorization="Bearer made-up")

    check(response)


@MANY
@given(
    parameters=st.lists(
        st.tuples(
            st.sampled_from(["query", "operationName", "variables", "extensions", "other"]),
            DOCUMENTS | REQUESTS.map(json.dumps) | st.text(max_size=20),
        ),
        max_size=4,
    ),
    accept=MEDIA_TYPES,
)
async def test_any_query_string_is_answered_or_refused(
    client: Client, parameters: list[tuple[str, str]], accept: str
) -> None:
    response = await client.http.get(
        "/graphql", params=httpx.QueryParams(tuple(parameters)), headers={"accept": accept, **PREFLIGHTED}
    )

    check(response)
