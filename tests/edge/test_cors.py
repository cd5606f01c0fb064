"""CORS: pages of the listed origins can read responses, and no others."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.edge.sending import JSON
from tests.fakes import TOKEN, Client, FakeUpstream, gateway

SHOP = "https://shop.example"
TOTAL = "{ gallery { pagination { total } } }"
WANTED = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}

OTHERS = [
    "https://shop.example.evil.example",
    "https://evil.example",
    "http://shop.example",
    "https://shop.example:8443",
    "https://SHOP.example",
    "https://shop.example/",
    "https://shop.example https://evil.example",
    "null",
    "*",
    "",
]


@pytest.fixture
async def open_to_shop(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream, cors_origins=f"{SHOP}, http://localhost:3000") as client:
        yield client


async def preflight(client: Client, origin: str, **headers: str) -> httpx.Response:
    return await client.http.options("/graphql", headers={"origin": origin, **WANTED, **headers})


def cors_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


async def test_by_default_no_page_of_another_origin_reads_anything(client: Client) -> None:
    asked = await preflight(client, SHOP)
    answered = await client.post(TOTAL, headers={"origin": SHOP})

    assert asked.status_code == 405
    assert cors_headers(asked) == cors_headers(answered) == {}
    assert "Origin" not in answered.headers["vary"]


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
async def test_a_named_origin_may_ask_and_read(open_to_shop: Client, origin: str) -> None:
    asked = await preflight(open_to_shop, origin)
    answered = await open_to_shop.post(TOTAL, headers={"origin": origin})

    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == origin
    assert asked.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert asked.headers["access-control-allow-headers"] == "authorization"
    assert asked.headers["access-control-max-age"] == "7200"
    assert answered.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
    assert cors_headers(answered) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "Age, ETag, Retry-After, X-Request-ID",
    }


@pytest.mark.parametrize("origin", OTHERS)
async def test_no_other_origin_may(open_to_shop: Client, origin: str) -> None:
    asked = await preflight(open_to_shop, origin)
    answered = await open_to_shop.post(TOTAL, headers={"origin": origin})

    assert asked.status_code == 405
    assert cors_headers(asked) == cors_headers(answered) == {}


async def test_credentials_of_the_browser_are_never_asked_for(open_to_shop: Client) -> None:
    responses = [
        await preflight(open_to_shop, SHOP),
        await open_to_shop.post(TOTAL, headers={"origin": SHOP}),
    ]

    assert not any("access-control-allow-credentials" in response.headers for response in responses)


@pytest.mark.parametrize("origin", [SHOP, "https://evil.example", None])
async def test_vary_contains_origin(open_to_shop: Client, origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}

    for response in [
        await open_to_shop.post(TOTAL, headers=headers),
        await open_to_shop.http.options("/graphql", headers=headers | WANTED),
        await open_to_shop.http.post("/graphql", content=b"{", headers=headers | {"content-type": JSON}),
    ]:
        assert response.headers["vary"].endswith("Accept, Accept-Encoding, X-Gateway-Report, Origin")


async def test_vary_of_a_preflight_contains_the_headers_it_asks_for(open_to_shop: Client) -> None:
    asked = await preflight(open_to_shop, SHOP)

    assert "Access-Control-Request-Headers" in asked.headers["vary"].split(", ")


@pytest.mark.parametrize(
    "names",
    [
        # Sentry, Datadog, Apollo Client, our own, and every character of a token.
        "authorization,baggage,content-type,sentry-trace",
        "traceparent, tracestate, x-datadog-origin, x-datadog-trace-id",
        "apollo-require-preflight",
        "x-request-timeout",
        "a,!#$%&'*+.^_`|~-9Z",
        "x" * 1024,
    ],
)
async def test_a_named_origin_may_send_the_headers_that_it_asks_for(open_to_shop: Client, names: str) -> None:
    asked = await preflight(open_to_shop, SHOP, **{"access-control-request-headers": names})

    assert asked.status_code == 204
    assert asked.headers["access-control-allow-headers"] == names


@pytest.mark.parametrize(
    "names",
    [
        "",
        ",",
        "a,",
        "a,,b",
        "a b",
        "a;b",
        "a, b\tc",
        'a"',
        "a:b",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "x" * 1025,
    ],
)
async def test_a_list_that_no_browser_sends_allows_no_header(open_to_shop: Client, names: str) -> None:
    headers = httpx.Headers({"origin": SHOP, **WANTED}, encoding="latin-1")
    headers["access-control-request-headers"] = names

    asked = await open_to_shop.http.options("/graphql", headers=headers)

    assert "access-control-allow-headers" not in asked.headers


async def test_a_repeated_answer_is_not_given_with_the_origin_of_another(open_to_shop: Client) -> None:
    for _ in range(3):
        await open_to_shop.post(TOTAL, headers={"origin": SHOP})

    answered = await open_to_shop.post(TOTAL, headers={"origin": "https://evil.example"})

    assert cors_headers(answered) == {}


async def test_a_refusal_can_be_read_by_a_named_origin_too(open_to_shop: Client) -> None:
    response = await open_to_shop.http.post(
        "/graphql", content=b"[", headers={"origin": SHOP, "content-type": JSON}
    )

    assert response.status_code == 400
    assert response.headers["access-control-allow-origin"] == SHOP


async def test_a_preflight_request_runs_nothing(open_to_shop: Client, upstream: FakeUpstream) -> None:
    response = await open_to_shop.http.options(
        "/graphql",
        params={"query": TOTAL},
        headers={"origin": SHOP, "authorization": f"Bearer {TOKEN}", **WANTED},
    )

    assert response.status_code == 204
    assert upstream.requests == []
