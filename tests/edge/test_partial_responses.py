import httpx
import pytest

from tests.edge.sending import GRAPHQL_RESPONSE, JSON, codes
from tests.fakes import Client, FakeUpstream, page_body

BOTH = """{
  first: gallery(page: 1) { pagination { total } }
  second: gallery(page: 2) { pagination { total } }
}"""


def second_page_is_down(request: httpx.Request) -> httpx.Response:
    if request.url.params.get("page") == "2":
        return httpx.Response(503)
    return httpx.Response(200, json=page_body())


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_one_failed_field_leaves_the_other_answered(
    client: Client, upstream: FakeUpstream, accept: str
) -> None:
    upstream.handler = second_page_is_down

    response = await client.post(BOTH, headers={"accept": accept})

    assert response.status_code == 200
    assert response.json()["data"] == {"first": {"pagination": {"total": 1}}, "second": None}
    assert codes(response) == ["UPSTREAM_UNAVAILABLE"]
    assert response.json()["errors"][0]["path"] == ["second"]


async def test_one_argument_out_of_range_leaves_the_other_field_answered(
    client: Client, upstream: FakeUpstream
) -> None:
    response = await client.post(BOTH.replace("page: 2", "page: 0"))

    assert response.json()["data"] == {"first": {"pagination": {"total": 1}}, "second": None}
    assert codes(response) == ["BAD_USER_INPUT"]
    assert len(upstream.requests) == 1


async def test_a_field_that_failed_is_asked_for_again_by_the_next_operation(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.handler = second_page_is_down
    await client.ask(BOTH)
    upstream.answer(json=page_body())

    answer = await client.ask(BOTH)

    assert "errors" not in answer
    assert answer["data"]["second"] == {"pagination": {"total": 1}}
