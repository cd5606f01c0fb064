"""The app on uvicorn as it is, without `serve`."""

import sys
from collections.abc import AsyncIterator

import pytest

from tests.process.serving import Server, operation, started


@pytest.fixture(params=[(), ("--root-path", "/gw"), ("--http", "h11")], ids=["plain", "root path", "h11"])
async def plain_server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with started(
        *("gallery_gateway:create_app", "--factory", "--port", "0", *request.param),
        program=(sys.executable, "-m", "uvicorn"),
        announced=r"Uvicorn running on http://([\d.]+):(\d+)",
    ) as server:
        yield server


async def test_plain_uvicorn_serves_operations_and_health(plain_server: Server) -> None:
    connection = await plain_server.connect()
    await connection.send(operation("{ __typename }"))

    status, body = await connection.answer()

    assert (status, body) == (200, b'{"data":{"__typename":"Query"}}')
    assert (await plain_server.get("/readyz"))[0] == 200
