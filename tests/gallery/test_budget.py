"""What one operation may cost upstream, counted before the first call is made."""

from typing import Any

import httpx
import pytest

from tests.fakes import Client, FakeUpstream, gateway, parameters_of
from tests.gallery.endpoints import listing


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(8, 3, 1)
    return upstream


def pages(*numbers: int, selection: str = "pagination { total }") -> str:
    """An operation with a field for each of these pages."""
    return "{ " + " ".join(f"p{n}: gallery(page: {n}) {{ {selection} }}" for n in numbers) + " }"


def projects(*numbers: int) -> str:
    return "{ " + " ".join(f"p{n}: project(projectId: {n}) {{ projectId }}" for n in numbers) + " }"


def refusals(answer: Any) -> set[tuple[str, str]]:
    return {(error["extensions"]["code"], error["message"]) for error in answer["errors"]}


async def test_as_many_calls_as_are_allowed_are_made(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_calls=3) as client:
        answer = await client.ask(pages(1, 2, 3))

    assert "errors" not in answer
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("document", [pages(1, 2, 3, 4), projects(1, 2, 3, 4)])
async def test_with_one_call_too_many_none_is_made(upstream: FakeUpstream, document: str) -> None:
    async with gateway(upstream, operation_max_calls=3) as client:
        answer = await client.ask(document)

    [(code, message)] = refusals(answer)
    assert code == "BAD_USER_INPUT"
    assert "the limit is 3" in message
    assert upstream.requests == []


async def test_with_too_many_images_no_call_is_made(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_images=999) as client:
        answer = await client.ask("{ gallery { projects { images { id } } } }")

    [(code, message)] = refusals(answer)
    assert code == "BAD_USER_INPUT"
    assert "the limit is 999" in message
    assert upstream.requests == []


async def test_the_images_of_all_calls_count_together(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_images=59) as client:
        answer = await client.ask(pages(1, 2, 3, selection="projects { images(first: 1) { id } }"))

    assert "errors" in answer
    assert upstream.requests == []


async def test_as_many_images_as_are_allowed_may_be_asked_for(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_images=60) as client:
        answer = await client.ask(pages(1, 2, 3, selection="projects { images(first: 1) { id } }"))

    assert "errors" not in answer


async def test_images_are_counted_after_narrowing(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_images=20) as client:
        answer = await client.ask("{ gallery { projects { id } } }")

    assert "errors" not in answer


async def test_calls_are_counted_after_merging(upstream: FakeUpstream) -> None:
    fields = " ".join(f"a{n}: gallery(perPage: {n}) {{ projects {{ id }} }}" for n in range(1, 21))
    async with gateway(upstream, operation_max_calls=1) as client:
        answer = await client.ask(f"{{ {fields} project(projectId: 2) {{ id }} }}")

    assert "errors" not in answer
    assert len(upstream.requests) == 1


async def test_what_is_known_does_not_count(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_calls=1) as client:
        await client.ask(pages(1))

        answer = await client.ask(pages(1, 2))

    assert "errors" not in answer


async def test_each_operation_has_a_budget_of_its_own(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_calls=1, cache_ttl_seconds=0) as client:
        answers = [await client.ask(pages(1)) for _ in range(3)]

    assert all("errors" not in answer for answer in answers)


async def test_pages_that_a_larger_one_did_not_hold_after_all_count(upstream: FakeUpstream) -> None:
    """Past the end, a page has to be asked for, though a larger one covers it."""
    fields = " ".join(f"p{n}: gallery(perPage: 1, page: {n}) {{ projects {{ id }} }}" for n in range(2, 31))
    async with gateway(upstream, operation_max_calls=5) as client:
        answer = await client.ask(f"{{ all: gallery(perPage: 100) {{ projects {{ id }} }} {fields} }}")

    assert "the limit is 5" in refusals(answer).pop()[1]
    assert len(upstream.requests) == 5


async def test_projects_that_a_page_did_not_hold_after_all_count(upstream: FakeUpstream) -> None:
    document = projects(*range(100, 120))[:-1] + "all: gallery { projects { projectId } } }"
    async with gateway(upstream, operation_max_calls=5) as client:
        answer = await client.ask(document)

    assert answer["data"]["all"] is not None
    assert "the limit is 5" in refusals(answer).pop()[1]
    assert len(upstream.requests) == 5


async def test_a_field_over_the_limit_leaves_what_is_known_answered(upstream: FakeUpstream) -> None:
    async with gateway(upstream, operation_max_calls=1) as client:
        await client.ask(pages(1))

        answer = await client.ask(pages(1, 2, 3))

    assert answer["data"] == {"p1": {"pagination": {"total": 3}}, "p2": None, "p3": None}
    assert len(upstream.requests) == 1


async def test_the_refused_argument_of_one_field_does_not_count(
    client: Client, upstream: FakeUpstream
) -> None:
    answer = await client.ask(pages(0, 1))

    assert answer["data"]["p1"] == {"pagination": {"total": 3}}
    assert [parameters_of(request)["page"] for request in upstream.requests] == ["1"]


async def test_the_page_that_a_404_needs_to_know_the_totals_is_the_only_further_call(
    upstream: FakeUpstream,
) -> None:
    working = listing(8, 3, 1)

    def past_the_end(request: httpx.Request) -> Any:
        return httpx.Response(404) if parameters_of(request)["page"] != "1" else working(request)

    upstream.handler = past_the_end
    async with gateway(upstream, operation_max_calls=1) as client:
        answer = await client.ask(pages(9))

    assert answer["data"]["p9"] == {"pagination": {"total": 3}}
    assert len(upstream.requests) == 2
