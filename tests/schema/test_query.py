from typing import Any

from tests.fakes import FakeUpstream


async def test_two_fields_of_one_page_cost_one_upstream_request(ask: Any, upstream: FakeUpstream) -> None:
    answer = await ask("{ gallery { projects { projectName } pagination { total } } }")

    assert answer["data"]["gallery"]["pagination"] == {"total": 1}
    assert len(upstream.requests) == 1
