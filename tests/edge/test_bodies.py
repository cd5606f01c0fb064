import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gallery_gateway.edge.request import MAX_BODY_BYTES
from tests.edge.sending import GRAPHQL_RESPONSE, JSON, codes, send
from tests.fakes import Client, FakeUpstream, gateway

TYPENAME = b'{"query": "{ __typename }"}'
DEEP = 30_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{ __typename }",
        b"query=%7B__typename%7D",
        b'"x"',
        b"null",
        b"1",
        b"true",
        b"[]",
        b"{}",
        TYPENAME + b" x",
        TYPENAME + TYPENAME,
        b"[" + TYPENAME + b"]",
        b"\xef\xbb\xbf" + TYPENAME,
        TYPENAME.decode().encode("utf-16"),
        b'{"query": "{ __typename } # \xff"}',
        b'{"query": "{ __typename }", "unknown": "\xff"}',
        b'{"query": "{ __typename }", "variables": {"a": "\xed\xa0\x80"}}',
        b'{"query": "{ __typename }", "variables": {"a": "\\ud800"}}',
        b'{"query": "{ __typename } # \\udfff"}',
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": Infinity}}',
        b'{"query": "{ __typename }", "variables": {"a": 1e999}}',
        b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5_000 + b"}}",
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
        b'{"query": "{ __typename }", "unknown": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        b'{"query": null}',
        b'{"query": 7}',
        b'{"query": ["{ __typename }"]}',
        b'{"query": {"a": 1}}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "variables": "{}"}',
        b'{"query": "{ __typename }", "variables": 0}',
        b'{"query": "{ __typename }", "variables": false}',
        b'{"query": "{ __typename }", "operationName": 7}',
        b'{"query": "{ __typename }", "operationName": {}}',
        b'{"query": "{ __typename }", "extensions": []}',
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)
async def test_a_body_that_is_no_request_is_refused_with_400(client: Client, body: bytes) -> None:
    response = await send(client, body)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert "data" not in response.json()


@pytest.mark.parametrize("parameter", ["variables", "operationName", "extensions"])
async def test_null_is_as_good_as_absent(client: Client, parameter: str) -> None:
    body = json.dumps({"query": "{ __typename }", parameter: None}).encode()

    response = await send(client, body)

    assert response.json() == {"data": {"__typename": "Query"}}


async def test_unknown_members_are_ignored(client: Client) -> None:
    response = await send(client, b'{"query": "{ __typename }", "id": "\xc3\xa9", "extensions": {"a": 1}}')

    assert response.json() == {"data": {"__typename": "Query"}}


async def test_text_beyond_ascii_is_read_as_utf8(client: Client, upstream: FakeUpstream) -> None:
    body = json.dumps(
        {"query": '{ gallery(search: "Kleid für 🏃") { pagination { total } } }'}, ensure_ascii=False
    )

    await send(client, body.encode(), authorization="Bearer made-up")

    assert upstream.requests[0].url.params["search"] == "Kleid für 🏃"


@pytest.mark.parametrize(
    ("document", "operation_name"),
    [
        ("query A { __typename } query B { __typename }", None),
        ("query A { __typename } query B { __typename }", "C"),
        ("{ __typename }", "A"),
    ],
)
async def test_an_operation_that_cannot_be_identified_is_a_bad_request(
    client: Client, document: str, operation_name: str | None
) -> None:
    body = json.dumps({"query": document, "operationName": operation_name}).encode()

    response = await send(client, body, accept=GRAPHQL_RESPONSE)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/graphql-response+json",
        "application/json; charset=utf-16",
        'application/json; charset="iso-8859-1"',
    ],
)
async def test_a_body_of_another_type_is_refused_with_415(client: Client, content_type: str) -> None:
    response = await send(client, TYPENAME, content_type=content_type)

    assert response.status_code == 415
    assert codes(response) == ["BAD_REQUEST"]


async def test_a_body_of_no_type_is_refused_with_415(client: Client) -> None:
    response = await client.http.post("/graphql", content=TYPENAME)

    assert "content-type" not in response.request.headers
    assert response.status_code == 415


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; profile=x; charset=utf8",
    ],
)
async def test_a_body_of_json_in_utf8_is_read(client: Client, content_type: str) -> None:
    response = await send(client, TYPENAME, content_type=content_type)

    assert response.json() == {"data": {"__typename": "Query"}}


class Chunks:
    """A body of `count` chunks of 512 bytes, which counts those that were read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.read < self.count:
            self.read += 1
            yield b" " * 512


@pytest.mark.parametrize("content_length", [str(1_000 * 512), "9" * 5_000], ids=["512000", "5000 digits"])
async def test_a_body_that_is_announced_as_too_large_is_refused_unread(
    client: Client, content_length: str
) -> None:
    chunks = Chunks(1_000)

    response = await send(client, chunks, content_length=content_length)

    assert response.status_code == 413
    assert codes(response) == ["BAD_REQUEST"]
    assert chunks.read == 0


async def test_a_body_that_turns_out_too_large_is_read_no_further(client: Client) -> None:
    chunks = Chunks(1_000)

    response = await send(client, chunks)

    assert response.status_code == 413
    assert codes(response) == ["BAD_REQUEST"]
    assert chunks.read == MAX_BODY_BYTES // 512 + 1


async def test_a_body_of_the_largest_size_is_read(client: Client) -> None:
    response = await send(client, TYPENAME.ljust(MAX_BODY_BYTES))

    assert response.status_code == 200


@pytest.mark.parametrize("depth", [50, 200, 400, 900])
@pytest.mark.parametrize(
    "document",
    [
        lambda depth: "{ a " * depth + "}" * depth,
        lambda depth: "{ ... on Query " * depth + "{ __typename }" + "}" * depth,
        lambda depth: "{ __schema { types { name " + "ofType { name " * depth + "}" * (depth + 3),
        lambda depth: "{ gallery(feedback: " + "[" * depth + "]" * depth + ") { pagination { total } } }",
        lambda depth: (
            "{ ...F0 }"
            + "".join(f" fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(depth))
            + f" fragment F{depth} on Query {{ __typename }}"
        ),
        lambda depth: "query($a: " + "[" * depth + "Int" + "]" * depth + ") { __typename }",
    ],
    ids=["fields", "inline fragments", "introspection", "lists", "fragments", "types"],
)
async def test_a_document_of_any_depth_is_answered_or_refused(
    client: Client, document: Callable[[int], str], depth: int
) -> None:
    body = json.dumps({"query": document(depth)}).encode()

    response = await send(client, body, accept=GRAPHQL_RESPONSE)

    assert response.status_code in {200, 400}


@pytest.mark.parametrize("depth", [50, 200, 400, 900])
@pytest.mark.parametrize(
    "document",
    [
        "query($a: String) { gallery(search: $a) { pagination { total } } }",
        "query($a: [String!]) { gallery(feedback: $a) { pagination { total } } }",
    ],
)
async def test_variables_of_any_depth_are_refused(client: Client, document: str, depth: int) -> None:
    body = f'{{"query": "{document}", "variables": {{"a": {"[" * depth}{"]" * depth}}}}}'

    response = await send(client, body.encode(), accept=GRAPHQL_RESPONSE)

    assert response.status_code == 400


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_a_document_that_is_longer_than_its_bound_is_refused(
    upstream: FakeUpstream, accept: str
) -> None:
    async with gateway(upstream, max_document_tokens=100) as client:
        response = await client.post("{" + " __typename" * 100 + " }", headers={"accept": accept})

    assert codes(response) == ["GRAPHQL_PARSE_FAILED"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"variables": "x"}, "Expected `object | null`, got `string` - at `$.variables`"),
        ({"variables": [1]}, "Expected `object | null`, got `array` - at `$.variables`"),
        ({"query": 1.5}, "Expected `string | null`, got `number` - at `$.query`"),
        ({"operationName": True}, "Expected `string | null`, got `boolean` - at `$.operationName`"),
        (
            {"extensions": {"persistedQuery": {"version": "1"}}},
            "Expected `integer`, got `string` - at `$.version`",
        ),
    ],
)
async def test_a_message_names_the_types_of_json(client: Client, body: dict[str, Any], message: str) -> None:
    response = await send(client, json.dumps({"query": "{ __typename }"} | body).encode())

    assert message in response.json()["errors"][0]["message"]
