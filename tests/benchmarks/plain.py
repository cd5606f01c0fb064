"""The baseline: `python -m tests.benchmarks.plain --port N --upstream-url URL [--hot]`.

The same graph over the same endpoint as its user would write it by hand: Strawberry's own router for FastAPI,
httpx's own client, types built from `response.json()`. With `--hot`, built objects are kept for a while.
"""

import argparse
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import httpx
import strawberry
import uvicorn
from cachetools import TTLCache
from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter

from tests.benchmarks.plain_types import Gallery, ImageSort, Ownership, SortOrder

TTL_SECONDS = 30
MAX_PAGES = 1_024

Key = tuple[str, tuple[tuple[str, Any], ...]]
Built = TypeVar("Built")


class Endpoint(Generic[Built]):
    """Fetches pages, and caches what `build` makes of them by caller and arguments if `hot`."""

    def __init__(self, upstream_url: str, build: Callable[[Any], Built], *, hot: bool) -> None:
        self._build = build
        self._url = f"{upstream_url}/gallery/by-project"
        self._client = httpx.AsyncClient()
        self._kept: TTLCache[Key, Built] | None = TTLCache(MAX_PAGES, TTL_SECONDS) if hot else None

    async def gallery(self, authorization: str, arguments: dict[str, Any]) -> Built:
        if self._kept is None:
            return await self._fetch(authorization, arguments)
        key = authorization, tuple((name, str(value)) for name, value in arguments.items())
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = await self._fetch(authorization, arguments)
        return found

    async def _fetch(self, authorization: str, arguments: dict[str, Any]) -> Built:
        response = await self._client.get(
            self._url, params=arguments, headers={"authorization": authorization}
        )
        response.raise_for_status()
        return self._build(response.json())


def given(  # noqa: PLR0917  # in the order of the resolver's parameters
    page: int,
    per_page: int,
    order: SortOrder,
    project_id: int | None,
    status: str | None,
    feedback: list[str] | None,
    sort_by: ImageSort,
    ownership: Ownership | None,
    max_images_per_project: int,
    search: str | None,
) -> dict[str, Any]:
    """Return the parameters of the REST API."""
    arguments = {
        "page": page,
        "per_page": per_page,
        "order": order.value,
        "project_id": project_id,
        "status": status,
        "feedback": feedback,
        "sort_by": sort_by.value,
        "ownership": ownership and ownership.value,
        "max_images_per_project": max_images_per_project,
        "search": search,
    }
    return {name: value for name, value in arguments.items() if value is not None}


@strawberry.type
class Query:
    @strawberry.field
    async def gallery(  # noqa: PLR0917  # Strawberry passes arguments by name
        self,
        info: strawberry.Info,
        page: int = 1,
        per_page: int = 20,
        order: SortOrder = SortOrder.DESC,
        project_id: int | None = None,
        status: str | None = None,
        feedback: list[str] | None = None,
        sort_by: ImageSort = ImageSort.ORIGINAL_FILENAME,
        ownership: Ownership | None = None,
        max_images_per_project: int = 50,
        search: str | None = None,
    ) -> Gallery | None:
        arguments = given(
            page,
            per_page,
            order,
            project_id,
            status,
            feedback,
            sort_by,
            ownership,
            max_images_per_project,
            search,
        )
        endpoint: Endpoint[Gallery] = info.context["endpoint"]
        return await endpoint.gallery(info.context["request"].headers["authorization"], arguments)


def sdl() -> str:
    """Return the schema for servers in other languages."""
    return strawberry.Schema(Query).as_str()


def create_app(upstream_url: str, *, hot: bool) -> FastAPI:
    endpoint = Endpoint(upstream_url, Gallery.build, hot=hot)

    async def context() -> dict[str, Any]:
        return {"endpoint": endpoint}

    app = FastAPI()
    app.include_router(GraphQLRouter(strawberry.Schema(Query), context_getter=context), prefix="/graphql")
    return app


def serve(create: Callable[..., FastAPI], about: str | None) -> None:
    """Serve an app as the command line says."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream-url", required=True)
    parser.add_argument("--hot", action="store_true")
    chosen = parser.parse_args()
    app = create(chosen.upstream_url, hot=chosen.hot)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=chosen.port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    serve(create_app, __doc__)
