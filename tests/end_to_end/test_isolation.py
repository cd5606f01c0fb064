"""No caller sees data of another caller, and no token leaks."""

import asyncio
import logging
import random
from typing import Any

import httpx
import pytest

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream
from tests.fakes import OTHER_TOKEN, TOKEN, FakeUpstream, dumped, gateway, page_body, project_body


async def test_thousands_of_interleaved_operations_show_each_caller_its_own() -> None:
    """Ben's and Ada's endpoint names the owner in every project, and answers in an order of its own."""
    shuffled = random.Random(7)

    async def answer(request: httpx.Request) -> httpx.Response:
        for _ in range(shuffled.randrange(5)):
            await asyncio.sleep(0)
        # The end of the token: all of it may come out nowhere.
        owner = request.headers["authorization"][-3:]
        return httpx.Response(200, json=page_body(project_body(7, created_by=owner)))

    upstream = FakeUpstream()
    upstream.handler = answer
    documents = [f"{{ gallery(page: {page}) {{ projects {{ createdBy }} }} }}" for page in range(1, 9)]

    async with gateway(upstream, cache_ttl_seconds=0.05) as client:

        async def one(_number: int) -> tuple[str, Any]:
            token = shuffled.choice([TOKEN, OTHER_TOKEN])
            return token, await client.ask(shuffled.choice(documents), token=token)

        answers = [
            answered
            for _ in range(30)
            for answered in await asyncio.gather(*(one(number) for number in range(100)))
        ]

    seen = {(token, a["data"]["gallery"]["projects"][0]["createdBy"]) for token, a in answers}
    assert seen == {(TOKEN, "ada"), (OTHER_TOKEN, "ben")}
    assert len(answers) == 3000
    assert len(upstream.requests) < 1500


async def test_each_demo_caller_sees_what_the_endpoint_lists_for_it() -> None:
    endpoint = httpx.ASGITransport(create_upstream())
    document = "{ gallery { pagination { total } } }"

    async with gateway(endpoint) as client:
        answers = [await client.ask(document, token=caller.token) for caller in CALLERS * 2]

    totals = [answer["data"]["gallery"]["pagination"]["total"] for answer in answers]
    assert totals[:3] == totals[3:]
    assert len(set(totals)) == len(CALLERS)


@pytest.mark.parametrize("failing", ["never", "status", "exception"])
async def test_the_token_goes_upstream_and_nowhere_else(
    upstream: FakeUpstream, failing: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    if failing == "status":
        upstream.answer(403, text=f"no: {TOKEN}", headers={"x-echo": TOKEN})
    elif failing == "exception":
        upstream.fail(RuntimeError("a bug"))
    caplog.set_level(logging.DEBUG)
    async with gateway(upstream, log_level="debug") as client:
        response = await client.post("{ gallery { projects { projectName } } }")

    output = dumped(response) + caplog.text + "".join(capfd.readouterr())
    assert upstream.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in output
    assert "upstream.called" in output
