"""Every response has security headers."""

import pytest

from tests.edge.sending import JSON, PREFLIGHTED
from tests.fakes import Client, FakeUpstream, gateway

NO_PAGE = "default-src 'none'; frame-ancestors 'none'"

REQUESTS = [
    ("POST", "/graphql", {"content-type": JSON}, b'{"query": "{ __typename }"}'),
    ("POST", "/graphql", {"content-type": JSON}, b"{"),
    ("POST", "/graphql", {"content-type": "text/plain"}, b""),
    ("GET", "/graphql?query={__typename}", PREFLIGHTED, b""),
    ("GET", "/graphql?query={__typename}", {}, b""),
    ("PUT", "/graphql", {}, b""),
    ("GET", "/livez", {}, b""),
    ("GET", "/readyz", {}, b""),
    ("POST", "/livez", {}, b""),
    ("GET", "/graphiql/nothing.js", {}, b""),
    ("GET", "/nothing", {}, b""),
]


@pytest.mark.parametrize(("method", "path", "headers", "body"), REQUESTS)
async def test_every_response_has_the_shield(
    client: Client, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    response = await client.http.request(method, path, headers=headers, content=body)

    assert response.headers.get_list("content-security-policy") == [NO_PAGE]
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]
    assert response.headers.get_list("referrer-policy") == ["no-referrer"]
    assert response.headers.get_list("cross-origin-resource-policy") == ["same-origin"]
    assert "strict-transport-security" not in response.headers


async def test_the_page_has_a_policy_of_its_own_and_the_rest_of_the_shield(client: Client) -> None:
    response = await client.http.get("/graphql", headers={"accept": "text/html"})

    (policy,) = response.headers.get_list("content-security-policy")
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(("method", "path", "headers", "body"), REQUESTS)
async def test_https_is_asked_for_where_the_operator_says_so(
    upstream: FakeUpstream, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    async with gateway(upstream, hsts_max_age_seconds=31_536_000) as client:
        response = await client.http.request(method, path, headers=headers, content=body)

    assert response.headers["strict-transport-security"] == "max-age=31536000"
