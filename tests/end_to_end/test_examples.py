"""The contract's own examples go through the whole gateway."""

import json
from pathlib import Path

import pytest

from tests.fakes import FakeUpstream, gateway
from tests.rest import as_rest, every_field, with_newer_fields

EXAMPLES = Path(__file__).parent.parent / "upstream" / "examples"


@pytest.mark.parametrize("name", ["seed.json", "newer.json"])
async def test_every_field_of_an_example_comes_out_as_it_went_in(upstream: FakeUpstream, name: str) -> None:
    body = (EXAMPLES / name).read_bytes()
    upstream.answer(content=body)

    async with gateway(upstream) as client:
        answer = await client.ask(f"{{ gallery {every_field('Gallery')} }}")

    assert "errors" not in answer
    assert as_rest(answer["data"]["gallery"]) == with_newer_fields(json.loads(body))


async def test_the_example_of_a_refusal_is_bad_user_input(upstream: FakeUpstream) -> None:
    upstream.answer(422, content=(EXAMPLES / "invalid-request.json").read_bytes())

    async with gateway(upstream) as client:
        answer = await client.ask("{ gallery { projects { id } } }")

    assert answer["data"] == {"gallery": None}
    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
