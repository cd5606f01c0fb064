import re

import pytest

from tests.edge.sending import codes, send
from tests.fakes import Client, FakeUpstream, gateway

TYPENAME = b'{"query": "{ __typename }"}'


async def identifier(client: Client, given: str | None) -> str:
    headers = {} if given is None else {"x_request_id": given}
    response = await send(client, TYPENAME, **headers)
    return str(response.headers["x-request-id"])


@pytest.mark.parametrize("given", ["a", "0", "3f2a-11.b_C", "x" * 128])
async def test_a_plain_request_id_comes_back(client: Client, given: str) -> None:
    answered = await identifier(client, given)

    assert answered == given


async def test_spaces_around_a_request_id_are_no_part_of_it(client: Client) -> None:
    answered = await identifier(client, " mine\t")

    assert answered == "mine"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "two words",
        "x" * 129,
        "a\r\nset-cookie: b=c",
        "a\n",
        "a\x00b",
        "caf\u00e9",
        "<script>",
        "a,b",
    ],
)
async def test_an_odd_request_id_is_replaced(client: Client, given: str) -> None:
    # As latin-1 bytes: httpx takes no such text, and a server in front may be less strict.
    headers = [(b"content-type", b"application/json"), (b"x-request-id", given.encode("latin-1"))]

    response = await client.http.post("/graphql", content=TYPENAME, headers=headers)

    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", response.headers["x-request-id"])
    assert "set-cookie" not in response.headers


async def test_a_request_without_an_id_is_given_one_of_its_own(client: Client) -> None:
    first = await identifier(client, None)
    second = await identifier(client, None)

    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", first)
    assert first != second


async def test_a_refusal_has_the_request_id_too(client: Client) -> None:
    response = await send(client, b"[]", x_request_id="mine")

    assert codes(response) == ["BAD_REQUEST"]
    assert response.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("log_level", ["info", "error"])
async def test_the_request_id_goes_upstream_and_no_other_header_of_the_client(log_level: str) -> None:
    upstream = FakeUpstream()
    own = {
        "x-request-id": "mine",
        "x-forwarded-for": "10.9.8.7",
        "cookie": "a=b",
        "x-other": "c",
        "forwarded": "d",
    }
    async with gateway(upstream, log_level=log_level) as client:
        await client.post("{ gallery { pagination { total } } }", headers=own)

    (request,) = upstream.requests
    assert request.headers["x-request-id"] == "mine"
    assert sorted(request.headers) == [
        "accept",
        "accept-encoding",
        "authorization",
        "host",
        "user-agent",
        "x-request-id",
    ]


async def test_an_odd_request_id_does_not_go_upstream() -> None:
    upstream = FakeUpstream()
    async with gateway(upstream) as client:
        response = await client.post(
            "{ gallery { pagination { total } } }", headers={"x-request-id": "two words"}
        )

    (request,) = upstream.requests
    assert request.headers["x-request-id"] == response.headers["x-request-id"] != "two words"
