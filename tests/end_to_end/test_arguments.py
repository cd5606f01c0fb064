"""Whatever is asked through the graph is what the endpoint says to the same question."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream
from tests.fakes import Client, gateway
from tests.rest import as_rest, every_field, with_newer_fields

TOKEN = CALLERS[0].token
NOON = 1_780_000_000.0

Parameters = list[tuple[str, str | int | float | bool | None]]

GALLERY = f"""
query Everything(
  $page: Int!, $perPage: Int!, $order: SortOrder!, $projectId: Int, $status: String, $feedback: [String!],
  $sortBy: ImageSort!, $ownership: Ownership, $maxImagesPerProject: Int!, $search: String
) {{
  gallery(
    page: $page, perPage: $perPage, order: $order, projectId: $projectId, status: $status,
    feedback: $feedback, sortBy: $sortBy, ownership: $ownership,
    maxImagesPerProject: $maxImagesPerProject, search: $search
  ) {every_field("Gallery")}
}}
"""

ARGUMENTS = st.fixed_dictionaries(
    {
        "page": st.integers(1, 40),
        "perPage": st.integers(1, 12),
        "order": st.sampled_from(["ASC", "DESC"]),
        "sortBy": st.sampled_from(["ORIGINAL_FILENAME", "QUALITY_SCORE"]),
        "maxImagesPerProject": st.integers(1, 20) | st.just(200),
    },
    optional={
        "projectId": st.none() | st.integers(10_000, 10_400),
        "status": st.sampled_from([None, "pending", "processing", "completed", "failed", "unheard of"]),
        "feedback": st.none() | st.lists(st.sampled_from(["like", "dislike", "ünknown"]), max_size=3),
        "ownership": st.sampled_from([None, "MINE", "SHARED"]),
        "search": st.sampled_from([None, "linen", "SKU 6", "10", "a&b=c", "%2F+é", "' OR 1=1"]),
    },
)


@pytest.fixture
def endpoint() -> httpx.ASGITransport:
    return httpx.ASGITransport(create_upstream(clock=lambda: NOON))


@pytest.fixture
async def client(endpoint: httpx.ASGITransport) -> AsyncIterator[Client]:
    async with gateway(endpoint) as client:
        yield client


async def rest_answer(endpoint: httpx.ASGITransport, parameters: Parameters) -> Any:
    async with httpx.AsyncClient(transport=endpoint, base_url="https://v2.api.piktid.com") as http:
        headers = {"authorization": f"Bearer {TOKEN}"}
        response = await http.get(
            "/gallery/by-project", params=httpx.QueryParams(parameters), headers=headers
        )
        assert response.status_code == 200
        return response.json()


def as_parameters(variables: dict[str, Any]) -> Parameters:
    pairs: Parameters = []
    for name, value in as_rest(variables).items():
        lowered = value.lower() if name in {"order", "sort_by", "ownership"} and value else value
        members = lowered if isinstance(lowered, list) else [lowered]
        pairs += [(name, str(member)) for member in members if member is not None]
    return pairs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(variables=ARGUMENTS)
async def test_every_argument_and_field_is_the_endpoints_own_answer(
    client: Client, endpoint: httpx.ASGITransport, variables: dict[str, Any]
) -> None:
    expected = await rest_answer(endpoint, as_parameters(variables))

    answer = await client.ask(GALLERY, variables, token=TOKEN)

    assert "errors" not in answer
    assert as_rest(answer["data"]["gallery"]) == with_newer_fields(expected)


async def test_a_project_is_the_one_that_the_endpoint_lists(
    client: Client, endpoint: httpx.ASGITransport
) -> None:
    listed = await rest_answer(endpoint, [("per_page", "1"), ("page", "3")])
    project_id = listed["projects"][0]["project_id"]

    answer = await client.ask(
        f"query One($id: Int!) {{ project(projectId: $id) {every_field('Project')} }}",
        {"id": project_id},
        token=TOKEN,
    )

    assert as_rest(answer["data"]["project"]) == with_newer_fields(listed)["projects"][0]
