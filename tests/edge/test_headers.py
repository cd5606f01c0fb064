"""Headers that come twice: refused where two readers could understand them in two ways."""

import pytest

from tests.edge.sending import JSON, codes
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream

TOTAL = b'{"query": "{ gallery { pagination { total } } }"}'
TYPE = (b"content-type", JSON.encode())
AUTHORIZATION = (b"authorization", f"Bearer {TOKEN}".encode())


@pytest.mark.parametrize(
    "twice",
    [
        (b"authorization", f"Bearer {OTHER_TOKEN}".encode()),
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"authorization", b"Basic YWRhOmFkYQ=="),
        (b"Authorization", b""),
        (b"content-type", b"text/plain"),
        (b"content-type", JSON.encode()),
        (b"content-encoding", b"identity"),
        (b"host", b"elsewhere.example"),
        (b"origin", b"https://elsewhere.example"),
    ],
    ids=lambda header: header[0].decode() + " " + header[1].decode()[:8],
)
async def test_what_must_be_single_is_refused_if_it_comes_twice(
    client: Client, upstream: FakeUpstream, twice: tuple[bytes, bytes]
) -> None:
    once = [TYPE, AUTHORIZATION, (b"content-encoding", b"identity"), (b"origin", b"https://a.example")]

    response = await client.http.post("/graphql", content=TOTAL, headers=[*once, (b"host", b"a"), twice])

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert twice[0].decode().title() in response.json()["errors"][0]["message"]
    assert upstream.requests == []


async def test_what_makes_a_list_may_come_twice(client: Client) -> None:
    several = [(b"cache-control", b"max-age=60"), (b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b")]

    response = await client.http.post("/graphql", content=TOTAL, headers=[TYPE, AUTHORIZATION, *several])

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_the_second_of_two_cache_controls_counts_too(client: Client, upstream: FakeUpstream) -> None:
    several = [(b"cache-control", b"max-age=60"), (b"cache-control", b"no-cache")]
    for _ in range(2):
        await client.http.post("/graphql", content=TOTAL, headers=[TYPE, AUTHORIZATION, *several])

    assert len(upstream.requests) == 2
