"""Python's `gql` works on this graph as it is: validation, list, detail, paging and an error."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError

from gallery_gateway.demo.callers import CALLERS
from tests.process.serving import demo

LIST = """
query ProjectList($first: Int!, $after: String) {
  projects(first: $first, after: $after, search: "dress") {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { projectId projectName }
  }
}
"""
DETAIL = "query ($projectId: BigInt!) { project(projectId: $projectId) { images(first: 5) { status } } }"


def asking(document: str, **variables: Any) -> GraphQLRequest:
    return GraphQLRequest(document, variable_values=variables)


@pytest.fixture
async def session() -> AsyncIterator[AsyncClientSession]:
    async with demo() as server:
        transport = AIOHTTPTransport(
            url=f"{server.url}/graphql", headers={"Authorization": f"Bearer {CALLERS[0].token}"}
        )
        client = Client(transport=transport, fetch_schema_from_transport=True)
        async with client as session:
            yield session


async def test_gql_lists_shows_walks_and_is_refused(session: AsyncClientSession) -> None:
    start = (await session.execute(asking(LIST, first=3)))["projects"]
    project_id = start["nodes"][0]["projectId"]
    detail = await session.execute(asking(DETAIL, projectId=project_id))
    found, after = [], None
    while True:
        part = (await session.execute(asking(LIST, first=20, after=after)))["projects"]
        found += [project["projectId"] for project in part["nodes"]]
        after = part["pageInfo"]["endCursor"]
        if not part["pageInfo"]["hasNextPage"]:
            break
    with pytest.raises(TransportQueryError) as refused:
        await session.execute(asking(LIST, first=0))

    assert len(detail["project"]["images"]) == 5
    assert len(found) == len(set(found)) == start["totalCount"] > 40
    assert found[:3] == [project["projectId"] for project in start["nodes"]]
    assert refused.value.errors
    assert refused.value.errors[0]["extensions"] == {"code": "BAD_USER_INPUT", "argument": "first"}
