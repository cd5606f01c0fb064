"""A list of projects that changes while a client walks along it, and the ways to walk."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.fakes import Client, FakeUpstream, gateway, parameters_of, project_body
from tests.gallery.endpoints import ManualClock, page_of

CONNECTION = """
query Walk($first: Int, $after: String, $last: Int, $before: String, $order: SortOrder!) {
  projects(first: $first, after: $after, last: $last, before: $before, order: $order) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { projectId } }
  }
}
"""
PAGE = """
query Page($page: Int!, $order: SortOrder!) {
  gallery(page: $page, order: $order) { pagination { hasNext } projects { projectId } }
}
"""

Between = Callable[[], None]
Walk = Callable[..., Awaitable[list[int]]]


class ChangingList:
    """Projects from the newest to the oldest, as the endpoint lists them at the moment."""

    def __init__(self, length: int) -> None:
        self.ids = list(range(length, 0, -1))
        self.upstream = FakeUpstream()
        self.upstream.handler = self._answer

    def add(self, count: int = 1) -> None:
        newest = max(self.ids, default=0)
        self.ids[:0] = range(newest + count, newest, -1)

    def remove(self, place: int) -> None:
        del self.ids[place]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        parameters = parameters_of(request)
        listed = self.ids if parameters["order"] == "desc" else self.ids[::-1]
        return httpx.Response(200, json=page_of([project_body(number) for number in listed], parameters))


@asynccontextmanager
async def walker(changing: ChangingList, **settings: Any) -> AsyncIterator[Client]:
    """A client of a gateway that keeps nothing, unless the settings say so."""
    clock = ManualClock().clock
    async with gateway(changing.upstream, clock=clock, **{"cache_ttl_seconds": 0, **settings}) as client:
        yield client


async def connection(client: Client, **variables: Any) -> Any:
    answer = await client.ask(CONNECTION, {"order": "DESC", **variables})
    assert "errors" not in answer, answer
    return answer["data"]["projects"]


def ids_in(connection: Any) -> list[int]:
    return [edge["node"]["projectId"] for edge in connection["edges"]]


async def walk_forward(
    client: Client, between: Between, *, first: int = 20, order: str = "DESC"
) -> list[int]:
    """Every project that is found, in order, until no page follows."""
    found: list[int] = []
    after = None
    while True:
        part = await connection(client, first=first, after=after, order=order)
        found += ids_in(part)
        if not part["pageInfo"]["hasNextPage"]:
            return found
        after = part["pageInfo"]["endCursor"]
        between()


async def walk_backward(
    client: Client, between: Between, *, last: int = 20, order: str = "DESC"
) -> list[int]:
    """Page backwards from the end, until no page comes before."""
    found: list[int] = []
    before = None
    while True:
        part = await connection(client, last=last, before=before, order=order)
        found = ids_in(part) + found
        if not part["pageInfo"]["hasPreviousPage"]:
            return found
        before = part["pageInfo"]["startCursor"]
        between()


async def walk_pages(client: Client, between: Between, *, order: str = "DESC") -> list[int]:
    """Every project that is found by page numbers."""
    found: list[int] = []
    page = 0
    while True:
        page += 1
        gallery = (await client.ask(PAGE, {"page": page, "order": order}))["data"]["gallery"]
        found += [project["projectId"] for project in gallery["projects"]]
        if not gallery["pagination"]["hasNext"]:
            return found
        between()
