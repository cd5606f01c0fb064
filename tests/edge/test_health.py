from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from gallery_gateway.app import create_app
from gallery_gateway.settings import Settings
from tests.fakes import FakeUpstream


@pytest.fixture
def app(upstream: FakeUpstream) -> FastAPI:
    return create_app(Settings.read(_env_file=None), transport=upstream)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, whose lifespan is the test's to enter."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        yield http


async def test_it_is_alive_before_it_is_ready(http: httpx.AsyncClient) -> None:
    response = await http.get("/livez")

    assert response.status_code == 200


async def test_it_is_not_ready_before_the_start(http: httpx.AsyncClient) -> None:
    response = await http.get("/readyz")

    assert response.status_code == 503


async def test_it_is_ready_between_start_and_end(app: FastAPI, http: httpx.AsyncClient) -> None:
    async with app.router.lifespan_context(app):
        response = await http.get("/readyz")

    assert response.status_code == 200
    # Without a shared cache, nothing is said of one.
    assert response.json() == {"status": "ready"}


async def test_it_is_not_ready_after_the_end(app: FastAPI, http: httpx.AsyncClient) -> None:
    async with app.router.lifespan_context(app):
        pass

    response = await http.get("/readyz")

    assert response.status_code == 503


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_asks_nothing_of_the_endpoint(
    app: FastAPI, http: httpx.AsyncClient, upstream: FakeUpstream, path: str
) -> None:
    async with app.router.lifespan_context(app):
        await http.get(path)

    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_the_frameworks_own_pages_are_not_served(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)

    assert response.status_code == 404
