"""Operations that schemathesis generates from the schema: valid, with unusual arguments."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import schemathesis
from graphql import introspection_from_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gallery_gateway.schema.build import build_schema, executable
from tests.canary import counted, look_at
from tests.process.serving import Server

# As a client is told it: the SDL has directives of federation that are declared nowhere.
SCHEMA = schemathesis.graphql.from_dict(dict(introspection_from_schema(executable(build_schema()))))
FIELDS = ("gallery", "project", "node", "projects")
OPERATIONS = st.one_of(*(SCHEMA["Query"][name].as_strategy() for name in FIELDS))
CODES = {"BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}


@pytest.fixture(scope="session")
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": "Bearer demo-ada-token"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
        yield http


@settings(
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(case=OPERATIONS)
async def test_any_operation_is_answered(http: httpx.AsyncClient, case: Any) -> None:
    response = await http.post("/graphql", json={"query": case.body})

    counted["operations of schemathesis"] += 1
    look_at("answers to operations", response.text)
    assert response.status_code == 200
    answer = response.json()
    assert "data" in answer or answer["errors"]
    assert {error["extensions"]["code"] for error in answer.get("errors", [])} <= CODES
    assert "demo-ada-token" not in response.text
