"""Requests as bytes, for tests of what a well-behaved client never sends."""

from typing import Any

import httpx

from tests.fakes import Client

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
PREFLIGHTED = {"apollo-require-preflight": "1"}


async def send(client: Client, body: Any, **headers: str) -> httpx.Response:
    """Posts a body (bytes, or a stream of them) as JSON; header names with `_` for `-`."""
    sent = {"content-type": JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.post("/graphql", content=body, headers=sent)


def codes(response: httpx.Response) -> list[str]:
    """The codes of a GraphQL response's errors."""
    return [error["extensions"]["code"] for error in response.json().get("errors", [])]
