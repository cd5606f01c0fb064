"""The GraphQL request in an HTTP body is one JSON object."""

import pytest

from tests.edge.sending import codes, send
from tests.fakes import Client, FakeUpstream


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"[{}]",
        b' \n[{"query": "{ gallery { pagination { total } } }"}]',
        b'[{"query": "{ gallery { pagination { total } } }"}, 7]',
        b"[" * 1000,
    ],
)
async def test_an_array_of_operations_is_refused_and_says_that_batching_is_not_offered(
    client: Client, upstream: FakeUpstream, body: bytes
) -> None:
    response = await send(client, body)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert "batching is not offered" in response.json()["errors"][0]["message"]
    assert upstream.requests == []
