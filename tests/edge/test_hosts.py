"""The Host header: no response repeats it, and only the probes respond to a host that is not served."""

import asyncio
from functools import cache

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.app import create_app
from gallery_gateway.settings import Settings
from tests.edge.test_explorer import BROWSER, SCRIPT
from tests.fakes import FakeUpstream, dumped, gateway

KNOWN = ["/", "/graphql", "/ui", "/livez", "/readyz", f"/graphiql/{SCRIPT}", "/graphiql", "/docs", "/nothing"]
# No response holds any of these by itself.
HOSTS = ["wrong.7391", "wrong.7391:80", "[::7391]", "7391@gateway", "gateway.7391"]

paths = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from(KNOWN), st.sampled_from(["", "/", "//", "/..", "?a=b", "/?a=b"])
    ),
    st.text("/.%2fa", max_size=8).map("/{}".format),
)
requests = {
    "method": st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT"]),
    "path": paths,
    "host": st.sampled_from(HOSTS),
    "page": st.sampled_from(["/graphql", "/ui"]),
}


async def send(client: httpx.AsyncClient, method: str, path: str, host: str) -> httpx.Response:
    headers = {**BROWSER, "host": host, "x-forwarded-proto": "https"}
    return await client.request(method, f"http://gateway{path}", headers=headers)


@cache
def app(page: str, allowed_hosts: str | None) -> FastAPI:
    settings = Settings.read(_env_file=None, graphiql_path=page, allowed_hosts=allowed_hosts)
    return create_app(settings, transport=FakeUpstream())


def respond(app: FastAPI, method: str, path: str, host: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
            return await send(client, method, path, host)

    return asyncio.run(run())


@given(**requests)
def test_no_response_repeats_the_host(method: str, path: str, host: str, page: str) -> None:
    response = respond(app(page, None), method, path, host)

    assert "7391" not in dumped(response)


@given(**requests)
def test_another_host_sees_nothing_but_the_probes(method: str, path: str, host: str, page: str) -> None:
    response = respond(app(page, "gateway"), method, path, host)

    is_probe = httpx.URL(path).path in {"/livez", "/readyz"}
    assert (response.status_code == 421) is not is_probe
    assert "<html" not in response.text


@pytest.mark.parametrize("headers", [[], [("host", "gateway"), ("host", "wrong.example")]])
async def test_a_request_without_a_single_host_sees_no_page(
    upstream: FakeUpstream, headers: list[tuple[str, str]]
) -> None:
    async with gateway(upstream, graphiql_path="/ui", allowed_hosts="gateway") as client:
        request = httpx.Request("GET", "http://gateway/ui")
        request.headers = httpx.Headers(headers)
        response = await client.http.send(request)

    assert response.status_code == 421


@pytest.mark.parametrize("host", ["gateway", "GATEWAY:8443"])
async def test_a_host_that_is_served_sees_the_page_and_its_files(upstream: FakeUpstream, host: str) -> None:
    async with gateway(upstream, graphiql_path="/ui", allowed_hosts="gateway") as client:
        found = [await send(client.http, "GET", path, host) for path in ("/ui", f"/graphiql/{SCRIPT}")]

    assert [response.status_code for response in found] == [200, 200]


@pytest.mark.parametrize("path", ["/ui", "/tools/explorer"])
async def test_a_slash_after_the_page_leads_to_the_page(upstream: FakeUpstream, path: str) -> None:
    async with gateway(upstream, graphiql_path=path) as client:
        response = await client.http.get(f"{path}/", headers=BROWSER, follow_redirects=True)

    assert response.status_code == 200
    assert response.url.path == path
