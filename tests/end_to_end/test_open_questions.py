"""What the contract leaves open comes out the same way for a client, however the endpoint does it."""

from typing import Any

import httpx
import pytest

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import ContractVariant, create_upstream
from tests.fakes import gateway

TOKEN = CALLERS[0].token

EMPTY_OR_404 = pytest.mark.parametrize(
    "variant",
    [ContractVariant(), ContractVariant(unknown_is_404=True, past_end_is_404=True, invalid_status=400)],
    ids=["empty", "404"],
)


async def ask(variant: ContractVariant, document: str) -> Any:
    async with gateway(httpx.ASGITransport(create_upstream(variant=variant))) as client:
        return await client.ask(document, token=TOKEN)


@EMPTY_OR_404
async def test_an_unknown_project_is_null(variant: ContractVariant) -> None:
    answer = await ask(variant, "{ project(projectId: 1) { projectName } }")

    assert answer == {"data": {"project": None}}


@EMPTY_OR_404
async def test_an_unknown_project_is_an_empty_list(variant: ContractVariant) -> None:
    answer = await ask(
        variant, "{ gallery(projectId: 1) { projects { id } pagination { total pages hasNext } } }"
    )

    pagination = {"total": 0, "pages": 0, "hasNext": False}
    assert answer == {"data": {"gallery": {"projects": [], "pagination": pagination}}}


@EMPTY_OR_404
async def test_a_page_past_the_end_is_empty_and_knows_the_totals(variant: ContractVariant) -> None:
    answer = await ask(
        variant,
        """{ gallery(page: 900) { projects { id } pagination { page perPage total pages hasNext hasPrev } }
             first: gallery { pagination { total pages } } }""",
    )

    first = answer["data"]["first"]["pagination"]
    assert answer["data"]["gallery"] == {
        "projects": [],
        "pagination": {"page": 900, "perPage": 20, "hasNext": False, "hasPrev": True, **first},
    }


async def test_an_endpoint_that_is_not_there_is_an_error_and_no_empty_gallery() -> None:
    nowhere = httpx.MockTransport(lambda _request: httpx.Response(404, text="nothing here"))
    async with gateway(nowhere) as client:
        answers = [
            await client.ask(document)
            for document in ("{ gallery { projects { id } } }", "{ gallery(page: 3) { projects { id } } }")
        ]

    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == ["UPSTREAM_CONTRACT"] * 2
