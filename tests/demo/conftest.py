"""The stand-in over an in-memory transport, with a clock that the tests set."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from gallery_gateway.demo.server import ContractVariant, create_upstream

NOON = 1_790_000_040.0
Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def serve() -> Callable[..., Ask]:
    """Create a stand-in and return a function that requests a path as a caller, `at` seconds since 1970."""

    def start(*, seed: int = 20_26, delay_seconds: float = 0, variant: ContractVariant | None = None) -> Ask:
        moment = [NOON]
        app = create_upstream(
            clock=lambda: moment[0],
            seed=seed,
            delay_seconds=delay_seconds,
            variant=variant or ContractVariant(),
        )
        transport = httpx.ASGITransport(app)

        async def ask(
            caller: str | None = "ada",
            *,
            path: str = "/gallery/by-project",
            at: float = NOON,
            headers: dict[str, str] | None = None,
            **query: Any,
        ) -> httpx.Response:
            moment[0] = at
            token = {"Authorization": f"Bearer demo-{caller}-token"} if caller else {}
            async with httpx.AsyncClient(transport=transport, base_url="http://demo:9000") as http:
                return await http.get(path, params=query or None, headers=headers or token)

        return ask

    return start


@pytest.fixture(scope="session")
def ask(serve: Callable[..., Ask]) -> Ask:
    return serve()


@pytest.fixture(scope="session")
def projects(ask: Ask) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """Return the projects of one page."""

    async def fetch(caller: str = "ada", **query: Any) -> list[dict[str, Any]]:
        answer = await ask(caller, **query)
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["projects"]
        return listed

    return fetch


@pytest.fixture(scope="session")
def all_projects(ask: Ask) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """Return the projects of all pages in order."""

    async def fetch(caller: str = "ada", **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page, has_next = 1, True
        while has_next:
            body = (await ask(caller, page=page, **{"per_page": 100} | query)).json()
            found += body["projects"]
            page, has_next = page + 1, body["pagination"]["has_next"]
        return found

    return fetch
