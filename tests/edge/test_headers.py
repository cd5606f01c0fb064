"""Headers and URLs that are ambiguous, or that reveal a token."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.edge.request import KEYED_HEADERS, HTTPRequest
from tests.edge.sending import JSON, codes, send
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, dumped, gateway

TOTAL = b'{"query": "{ gallery { pagination { total } } }"}'
TYPE = (b"content-type", JSON.encode())
# No response that is replayed depends on these.
NOT_KEYED = (
    b"content-length x-request-id if-none-match x-request-timeout x-envoy-expected-rq-timeout-ms"
    b" traceparent tracestate".split()
)
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
        (b"x-gateway-report", b"plan"),
        (b"x-gateway-report", b"1"),
    ],
    ids=lambda header: header[0].decode() + " " + header[1].decode()[:8],
)
async def test_what_must_be_single_is_refused_if_it_comes_twice(
    client: Client, upstream: FakeUpstream, twice: tuple[bytes, bytes]
) -> None:
    once = [TYPE, AUTHORIZATION, (b"content-encoding", b"identity"), (b"origin", b"https://a.example")]
    once.append((b"x-gateway-report", b"plan"))

    response = await client.http.post("/graphql", content=TOTAL, headers=[*once, (b"host", b"a"), twice])

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    message = response.json()["errors"][0]["message"]
    assert message == f"Send the {twice[0].decode().title()} header only once."
    assert upstream.requests == []


async def test_what_makes_a_list_may_come_twice(client: Client) -> None:
    several = [(b"cache-control", b"max-age=60"), (b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b")]

    response = await client.http.post("/graphql", content=TOTAL, headers=[TYPE, AUTHORIZATION, *several])

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


async def test_the_second_of_two_cache_controls_counts_too(client: Client, upstream: FakeUpstream) -> None:
    several = [(b"cache-control", b"max-age=60"), (b"cache-control", b"no-cache")]
    await client.http.post("/graphql", content=TOTAL, headers=[TYPE, AUTHORIZATION])

    await client.http.post("/graphql", content=TOTAL, headers=[TYPE, AUTHORIZATION, *several])

    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "connection",
    ["authorization", "close, Authorization", "keep-alive,content-type", " HOST ", "x-request-id", "Origin"],
)
async def test_a_header_that_a_proxy_would_have_taken_away_is_refused(
    client: Client, upstream: FakeUpstream, connection: str
) -> None:
    response = await send(client, TOTAL, connection=connection, authorization=f"Bearer {TOKEN}")

    assert response.status_code == 400
    assert "Connection" in response.json()["errors"][0]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "connection", ["keep-alive", "close", "Keep-Alive, TE", "upgrade, http2-settings", ""]
)
async def test_a_connection_header_may_speak_of_the_connection(client: Client, connection: str) -> None:
    response = await send(client, TOTAL, connection=connection)

    assert codes(response) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "GZIP", "identity, gzip", "x"])
async def test_a_compressed_body_is_refused_unread(client: Client, encoding: str) -> None:
    response = await send(client, gzip.compress(bytes(1_000_000)), content_encoding=encoding)

    assert response.status_code == 415
    assert "Content-Encoding" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("encoding", ["identity", " Identity ", ""])
async def test_a_body_that_is_not_compressed_is_read(client: Client, encoding: str) -> None:
    response = await send(client, TOTAL, content_encoding=encoding)

    assert codes(response) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize(
    "name", ["accept", "content-type", "cache-control", "connection", "x-gateway-report"]
)
@pytest.mark.parametrize("control", [b"\r\nx: y", b"\n", b"\x00", b"\x1b[31m", b"\x7f"])
async def test_a_control_character_in_a_header_is_refused(client: Client, name: str, control: bytes) -> None:
    # Most servers in front of an ASGI app see to it; this holds under any of them.
    headers = {b"content-type": JSON.encode(), name.encode(): JSON.encode() + control}

    response = await client.http.post("/graphql", content=TOTAL, headers=list(headers.items()))

    assert response.status_code == 400
    assert "control character" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("control", [b"\r\nx: y", b"\n", b"\x00", b"\x7f"])
async def test_a_control_character_in_a_token_goes_nowhere(
    client: Client, upstream: FakeUpstream, control: bytes
) -> None:
    headers = [TYPE, (b"authorization", b"Bearer made-up" + control)]

    response = await client.http.post("/graphql", content=TOTAL, headers=headers)

    assert codes(response) == ["UNAUTHENTICATED"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "access_token",
        "accessToken",
        "token",
        "TOKEN",
        "auth",
        "authorization",
        "id-token",
        "jwt",
        "api_key",
        "%74oken",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_token_in_the_url_is_rejected_and_not_logged(
    client: Client, upstream: FakeUpstream, name: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"content-type": JSON, "authorization": f"Bearer {TOKEN}"}

    response = await client.http.request(
        method,
        f"/graphql?query=%7B__typename%7D&{name}={OTHER_TOKEN}",
        content=TOTAL if method == "POST" else b"",
        headers=headers,
    )

    assert response.status_code == 400
    assert "not in the URL" in response.json()["errors"][0]["message"]
    assert OTHER_TOKEN not in dumped(response) + caplog.text
    assert upstream.requests == []


async def test_a_visit_with_a_token_in_the_address_gets_no_page(client: Client) -> None:
    response = await client.http.get(f"/graphql?token={OTHER_TOKEN}", headers={"accept": "text/html"})

    assert response.status_code == 400
    assert OTHER_TOKEN not in dumped(response)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("api.example", 200),
        ("API.example:8443", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("api.example.evil.example", 421),
        ("evil.example:api.example", 421),
        ("", 421),
        ("api.example@evil.example", 421),
    ],
)
async def test_only_named_hosts_are_served_where_there_are_any(
    upstream: FakeUpstream, host: str, status: int
) -> None:
    async with gateway(upstream, allowed_hosts="api.example, [::1]") as client:
        response = await send(client, TOTAL, host=host)
        alive = await client.http.get("/livez", headers={"host": host})

    assert response.status_code == status
    # Orchestrators ask by address.
    assert alive.status_code == 200


@pytest.mark.parametrize("host", ["gateway", "anything.example", "127.0.0.1:8000"])
async def test_by_default_any_host_is_served(client: Client, host: str) -> None:
    response = await send(client, TOTAL, host=host)

    assert response.status_code == 200


@given(names=st.lists(st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1).map(str.encode), max_size=5))
def test_no_header_can_be_read_that_replays_do_not_know(names: list[bytes]) -> None:
    raw = [(b"via", b"1.1 edge"), (b"cookie", b"a=b"), (b"x-forwarded-for", b"a"), (b"accept", b"*/*")]
    scope = {"method": "POST", "query_string": b"", "headers": [*((name, b"1") for name in names), *raw]}

    assert HTTPRequest(scope).headers.keys() <= {*KEYED_HEADERS, *NOT_KEYED}
