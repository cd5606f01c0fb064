"""How deep the JSON of the REST API may be: a clear error at any depth, on every version of Python."""

import json
from typing import Any

import pytest

from tests.fakes import FakeUpstream, gateway, image_body, page_body, project_body

FIELDS = "{ gallery { projects { images { inputDescription status } } }%s }"
# The second is not compiled.
DOCUMENTS = [FIELDS % "", FIELDS % " __schema { queryType { name } }"]

PLACES = {
    "free-form": ('"@free"', "{}"),
    "unknown": ('"pagination"', '"unknown":{},"pagination"'),
    "misplaced": ('"@status"', "{}"),
    "instead of a page": (None, "{}"),
}


def body(place: str, depth: int) -> bytes:
    value = "[" * depth + "]" * depth
    replaced, by = PLACES[place]
    if replaced is None:
        return value.encode()
    page = json.dumps(page_body(project_body(7, image_body(input_description="@free", status="@status"))))
    return page.replace(replaced, by.replace("{}", value), 1).encode()


async def codes(upstream: FakeUpstream, content: bytes) -> list[list[Any]]:
    """The error codes of both documents, each answered by an upstream call of its own."""
    upstream.answer(content=content)
    found = []
    async with gateway(upstream, cache_ttl_seconds=0) as client:
        for document in DOCUMENTS:
            response = await client.post(document)
            # The decoder of the tests may not go as deep.
            errors = response.text.partition('"errors":')[2]
            found.append([code for code in ("UPSTREAM_CONTRACT", "INTERNAL_SERVER_ERROR") if code in errors])
    return found


@pytest.mark.parametrize("place", ["free-form", "unknown"])
async def test_a_deep_value_that_is_not_read_is_passed_on(upstream: FakeUpstream, place: str) -> None:
    assert await codes(upstream, body(place, 256)) == [[], []]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("depth", [500, 900, 950, 1_000, 5_000, 12_000, 20_000])
async def test_any_depth_is_answered_or_a_breach_of_the_contract(
    upstream: FakeUpstream, place: str, depth: int
) -> None:
    compiled, plain = await codes(upstream, body(place, depth))

    assert compiled in ([], ["UPSTREAM_CONTRACT"])
    assert plain in ([], ["UPSTREAM_CONTRACT"])


@pytest.mark.parametrize("place", PLACES)
async def test_too_deep_a_value_is_a_breach_of_the_contract(upstream: FakeUpstream, place: str) -> None:
    assert await codes(upstream, body(place, 1_000_000)) == [["UPSTREAM_CONTRACT"]] * 2
