"""A page that is kept, or on its way, answers every later request that it contains."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.fakes import (
    OTHER_TOKEN,
    Client,
    FakeUpstream,
    gateway,
    image_body,
    page_body,
    parameters_of,
    project_body,
)
from tests.gallery.endpoints import ManualClock, caps, indexes, listing, page_of, sized_projects

ALL = "page perPage total pages hasNext hasPrev"


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.handler = listing(8, 3, 1, 0, 2)
    return upstream


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with gateway(upstream, clock=clock.clock, stale_while_revalidate_seconds=0) as client:
        yield client


class HeldUpstream(FakeUpstream):
    """Answers when it is told to: each request waits for `released` after setting `arrived`."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()
        answers = listing(*sizes)

        async def hold(request: httpx.Request) -> httpx.Response:
            self.arrived.set()
            await self.released.wait()
            response = answers(request)
            assert isinstance(response, httpx.Response)
            return response

        self.handler = hold


async def test_fewer_images_come_out_of_a_page_with_more(ask: Any, upstream: FakeUpstream) -> None:
    await ask("{ gallery { projects { images(first: 6) { imageIndex } } } }")

    answer = await ask("{ gallery { projects { images(first: 2) { imageIndex } } } }")

    assert indexes(answer["data"]["gallery"]["projects"][0]) == [0, 1]
    assert len(upstream.requests) == 1


async def test_lists_that_are_known_to_be_whole_answer_a_larger_cap(ask: Any, upstream: FakeUpstream) -> None:
    await ask("{ gallery(maxImagesPerProject: 9) { projects { images { imageIndex } } } }")

    answer = await ask("{ gallery(maxImagesPerProject: 200) { projects { images { imageIndex } } } }")

    assert indexes(answer["data"]["gallery"]["projects"][0]) == list(range(8))
    assert caps(upstream) == [9]


async def test_a_list_as_long_as_its_cap_answers_no_larger_cap(ask: Any, upstream: FakeUpstream) -> None:
    await ask("{ gallery(maxImagesPerProject: 8) { projects { images { imageIndex } } } }")

    await ask("{ gallery(maxImagesPerProject: 9) { projects { images { imageIndex } } } }")

    assert caps(upstream) == [8, 9]


async def test_a_project_comes_out_of_a_page_that_lists_it(ask: Any, upstream: FakeUpstream) -> None:
    await ask("{ gallery { projects { images { imageIndex } } } }")

    answer = await ask("{ project(projectId: 2) { projectId images(first: 2) { imageIndex } } }")

    assert answer["data"]["project"]["projectId"] == 2
    assert indexes(answer["data"]["project"]) == [0, 1]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("filters", ['search: "Project"', "ownership: MINE", "perPage: 2, page: 1"])
async def test_a_project_is_the_same_on_every_page_that_lists_it(
    ask: Any, upstream: FakeUpstream, filters: str
) -> None:
    await ask(f"{{ gallery({filters}) {{ projects {{ images {{ imageIndex }} }} }} }}")

    await ask("{ project(projectId: 1) { images { imageIndex } } }")

    assert len(upstream.requests) == 1


async def test_a_project_with_more_images_than_the_page_shows_is_asked_for(
    ask: Any, upstream: FakeUpstream
) -> None:
    await ask("{ gallery { projects { images(first: 2) { imageIndex } } } }")

    answer = await ask("{ project(projectId: 1) { images { imageIndex } } }")

    assert indexes(answer["data"]["project"]) == list(range(8))
    assert caps(upstream) == [2, 50]


async def test_a_project_that_is_known_not_to_be_there_is_asked_for_once(
    ask: Any, upstream: FakeUpstream
) -> None:
    await ask("{ project(projectId: 99) { id } }")

    answer = await ask("{ project(projectId: 99) { id } }")

    assert answer == {"data": {"project": None}}
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_smaller_page_comes_out_of_a_larger_one_as_the_endpoint_would_give_it(
    ask: Any, upstream: FakeUpstream, page: int
) -> None:
    document = (
        f"{{ gallery(perPage: 2, page: {page}) {{ projects {{ projectId }} pagination {{ {ALL} }} }} }}"
    )
    async with gateway(upstream) as other:
        expected = await other.ask(document)
    await ask("{ gallery(perPage: 6) { projects { projectId } } }")
    upstream.requests.clear()

    answer = await ask(document)

    assert answer == expected
    assert upstream.requests == []


async def test_a_page_that_only_overlaps_is_asked_for(ask: Any, upstream: FakeUpstream) -> None:
    await ask("{ gallery(perPage: 3) { projects { projectId } } }")

    await ask("{ gallery(perPage: 2, page: 2) { projects { projectId } } }")

    assert len(upstream.requests) == 2


async def test_a_page_past_the_end_of_a_larger_one_is_asked_for(ask: Any, upstream: FakeUpstream) -> None:
    await ask("{ gallery(perPage: 100) { projects { projectId } } }")

    await ask("{ gallery(perPage: 5, page: 2) { projects { projectId } } }")

    assert len(upstream.requests) == 2


CONTRADICTIONS: dict[str, Any] = {
    "pages": {"pages": 9},
    "has_next": {"has_next": True},
    "has_prev": {"has_prev": True},
    "page": {"page": 2},
    "per_page": {"per_page": 20},
    "fewer projects than it counts": {"total": 6, "pages": 1},
    "a total of the wrong type": {"total": "5"},
    "no total": {"total": None},
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
async def test_no_smaller_page_comes_out_of_one_that_contradicts_itself(
    ask: Any, upstream: FakeUpstream, contradiction: dict[str, Any]
) -> None:
    projects = sized_projects(1, 1, 1, 1, 1)

    def answer_oddly(request: httpx.Request) -> httpx.Response:
        body = page_of(projects, parameters_of(request))
        if body["pagination"]["per_page"] == 10:
            body["pagination"] |= contradiction
        return httpx.Response(200, json=body)

    upstream.handler = answer_oddly
    await ask("{ gallery(perPage: 10) { projects { projectId } } }")

    answer = await ask("{ gallery(perPage: 5) { projects { projectId } pagination { total } } }")

    assert "errors" not in answer
    assert answer["data"]["gallery"]["pagination"]["total"] == 5
    assert len(upstream.requests) == 2


async def test_a_page_of_another_size_than_requested_answers_the_same_request(
    ask: Any, upstream: FakeUpstream
) -> None:
    upstream.answer(json=page_body(project_body(7), per_page=5, total=9, has_next=True))

    answers = [await ask("{ gallery(perPage: 20) { projects { projectId } } }") for _ in range(3)]

    assert answers == [answers[0]] * 3
    assert len(upstream.requests) == 1


async def test_a_page_of_another_size_is_not_cut_for_the_operation_that_requested_it(
    ask: Any, upstream: FakeUpstream
) -> None:
    """Also if plain execution answers, because a value does not fit the plan."""
    images = [image_body(index, feedback=5) for index in range(5)]
    upstream.answer(json=page_body(project_body(7, *images), per_page=50, total=1))
    document = "{ gallery(maxImagesPerProject: 2) { projects { images { imageIndex feedback } } } }"

    answers = [await ask(document) for _ in range(3)]

    assert indexes(answers[0]["data"]["gallery"]["projects"][0]) == [0, 1, 2, 3, 4]
    assert answers == [answers[0]] * 3
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "argument",
    [
        'status: "failed"',
        'feedback: ["like"]',
        'search: "x"',
        "order: ASC",
        "sortBy: QUALITY_SCORE",
        "ownership: SHARED",
        "projectId: 1",
    ],
)
async def test_a_page_under_other_filters_answers_nothing(
    ask: Any, upstream: FakeUpstream, argument: str
) -> None:
    await ask("{ gallery { pagination { total } } }")

    await ask(f"{{ gallery({argument}) {{ pagination {{ total }} }} }}")

    assert len(upstream.requests) == 2


@pytest.mark.parametrize("argument", ['status: "failed"', 'feedback: ["like"]', "order: ASC"])
async def test_a_project_under_other_filters_answers_nothing(
    ask: Any, upstream: FakeUpstream, argument: str
) -> None:
    await ask("{ gallery { projects { images { id } } } }")

    await ask(f"{{ project(projectId: 1, {argument}) {{ images {{ id }} }} }}")

    assert len(upstream.requests) == 2


async def test_a_page_answers_no_other_caller(client: Client, upstream: FakeUpstream) -> None:
    await client.ask("{ gallery { projects { id } } }")

    await client.ask("{ gallery { projects { id } } }", token=OTHER_TOKEN)

    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "document",
    [
        "{ gallery(maxImagesPerProject: 2) { projects { images { id } } } }",
        "{ gallery(perPage: 2) { projects { id } } }",
        "{ project(projectId: 2) { id } }",
    ],
)
async def test_a_slice_is_as_old_as_the_page_it_is_cut_from(
    client: Client, upstream: FakeUpstream, clock: ManualClock, document: str
) -> None:
    await client.ask("{ gallery { projects { images { id } } } }")
    clock.step(12)

    response = await client.post(document)

    assert response.headers["age"] == "12"
    assert len(upstream.requests) == 1


async def test_a_slice_is_not_kept_longer_than_the_page_it_is_cut_from(
    ask: Any, upstream: FakeUpstream, clock: ManualClock
) -> None:
    await ask("{ gallery { projects { images { id } } } }")
    clock.step(29)
    await ask("{ gallery { projects { images(first: 2) { id } } } }")
    clock.step(1)

    await ask("{ gallery { projects { images(first: 2) { id } } } }")

    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "refreshing",
    ["{ project(projectId: 7) { projectName } }", "{ gallery(perPage: 9) { projects { projectName } } }"],
)
async def test_the_youngest_page_that_lists_a_project_answers_for_it(
    client: Client, upstream: FakeUpstream, clock: ManualClock, refreshing: str
) -> None:
    upstream.answer(json=page_body(project_body(7, project_name="before")))
    await client.ask("{ gallery { projects { projectName } } }")
    clock.step(1)
    upstream.answer(json=page_body(project_body(7, project_name="after")))
    await client.post(refreshing, headers={"cache-control": "no-cache"})

    answer = await client.ask("{ project(projectId: 7) { projectName } }")

    assert answer["data"]["project"] == {"projectName": "after"}
    assert len(upstream.requests) == 2


async def test_a_page_that_is_used_again_does_not_grow_younger(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    document = "{ gallery { projects { projectName } } }"
    upstream.answer(json=page_body(project_body(7, project_name="before")))
    await client.ask(document)
    clock.step(1)
    upstream.answer(json=page_body(project_body(7, project_name="after")))
    younger = "{ gallery(perPage: 9) { projects { projectName } } }"
    await client.post(younger, headers={"cache-control": "no-cache"})
    for _ in range(3):
        await client.ask(document)

    answer = await client.ask("{ project(projectId: 7) { projectName } }")

    assert answer["data"]["project"] == {"projectName": "after"}


async def test_the_youngest_page_answers_a_smaller_request(
    client: Client, upstream: FakeUpstream, clock: ManualClock
) -> None:
    upstream.answer(json=page_body(project_body(7, project_name="before")))
    await client.ask("{ gallery(maxImagesPerProject: 20) { projects { projectName images { id } } } }")
    clock.step(1)
    upstream.answer(json=page_body(project_body(7, project_name="after")))
    await client.post(
        "{ gallery(maxImagesPerProject: 10) { projects { projectName images { id } } } }",
        headers={"cache-control": "no-cache"},
    )

    answer = await client.ask("{ gallery { projects { projectName } } }")

    assert answer["data"]["gallery"]["projects"] == [{"projectName": "after"}]


async def test_a_project_without_a_sound_id_is_left_on_its_page(ask: Any, upstream: FakeUpstream) -> None:
    upstream.answer(
        json=page_body(project_body(7), {**project_body(8), "project_id": [8]}, project_body(True))
    )
    await ask("{ gallery { projects { projectName } } }")
    upstream.handler = listing(1)

    answer = await ask("{ project(projectId: 1) { projectName } }")

    assert answer == {"data": {"project": {"projectName": "Project 1"}}}


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        (
            "{ gallery { projects { images { id } } } }",
            "{ gallery { projects { images(first: 3) { id } } } }",
        ),
        ("{ gallery(perPage: 4) { projects { id } } }", "{ gallery(perPage: 2) { projects { id } } }"),
        ("{ gallery { projects { id } } }", "{ gallery { pagination { total } } }"),
        ("{ project(projectId: 1) { images { id } } }", "{ project(projectId: 1) { createdBy } }"),
    ],
)
async def test_a_smaller_request_joins_a_larger_one_that_is_under_way(larger: str, smaller: str) -> None:
    upstream = HeldUpstream(8, 3, 1, 0, 2)
    async with gateway(upstream, cache_ttl_seconds=0) as plain:
        first = asyncio.create_task(plain.ask(larger))
        await upstream.arrived.wait()
        second = asyncio.create_task(plain.post(smaller, headers={"x-gateway-report": "1"}))
        await _at_rest()

        upstream.released.set()
        answers = await first, (await second).json()

    assert all("errors" not in answer for answer in answers)
    assert answers[1]["extensions"]["upstream"]["collapsed"] == 1
    assert len(upstream.requests) == 1


async def test_a_larger_request_does_not_join_a_smaller_one_that_is_under_way() -> None:
    upstream = HeldUpstream(8)
    async with gateway(upstream, cache_ttl_seconds=0) as plain:
        first = asyncio.create_task(plain.ask("{ gallery { projects { images(first: 3) { id } } } }"))
        await upstream.arrived.wait()
        second = asyncio.create_task(plain.ask("{ gallery { projects { images { imageIndex } } } }"))
        await _at_rest()

        upstream.released.set()
        await first
        answer = await second

    assert indexes(answer["data"]["gallery"]["projects"][0]) == list(range(8))
    assert caps(upstream) == [3, 50]


async def test_nobody_joins_what_another_caller_has_under_way() -> None:
    upstream = HeldUpstream(8)
    document = "{ gallery { projects { id } } }"
    async with gateway(upstream) as client:
        first = asyncio.create_task(client.ask(document))
        await upstream.arrived.wait()
        second = asyncio.create_task(client.ask(document, token=OTHER_TOKEN))
        await _at_rest()

        upstream.released.set()
        await asyncio.gather(first, second)

    assert len(upstream.requests) == 2


async def test_those_who_joined_a_page_that_cannot_be_sliced_ask_again_together() -> None:
    upstream = HeldUpstream()
    document = "{ gallery(perPage: 5, page: 2) { projects { id } } }"
    async with gateway(upstream, cache_ttl_seconds=0) as client:
        first = asyncio.create_task(client.ask("{ gallery(perPage: 10) { projects { id } } }"))
        await upstream.arrived.wait()
        others = [asyncio.create_task(client.ask(document)) for _ in range(5)]
        await _at_rest()

        upstream.released.set()
        await asyncio.gather(first, *others)

    assert len(upstream.requests) == 2


async def _at_rest() -> None:
    """Until everything that can go on without the upstream has gone on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def slow_answer(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(0.01)
    return httpx.Response(200, json=page_body(project_body(7)))


async def test_one_of_those_who_share_a_call_writes_the_response_for_the_others(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    convert = msgspec.convert

    def counting(value: object, *arguments: Any, **options: Any) -> Any:
        written.append(value)
        return convert(value, *arguments, **options)

    upstream.handler = slow_answer
    monkeypatch.setattr("gallery_gateway.execution.compiler.msgspec.convert", counting)
    async with gateway(upstream) as client:
        document = "{ gallery { projects { projectId } } }"
        answers = await asyncio.gather(*(client.ask(document) for _ in range(10)))

    assert answers == [{"data": {"gallery": {"projects": [{"projectId": 7}]}}}] * 10
    assert len(written) == 1
    assert len(upstream.requests) == 1


async def test_others_who_share_a_call_read_other_fields_of_its_page(upstream: FakeUpstream) -> None:
    upstream.handler = slow_answer
    async with gateway(upstream) as client:
        first, *others = await asyncio.gather(
            client.ask("{ gallery { projects { projectId } } }"),
            client.ask("{ gallery { projects { projectName } } }"),
            client.ask("{ gallery { projects { projectId } } project(projectId: 7) { projectId } }"),
            client.ask("{ gallery { projects { projectName } } }"),
        )

    assert first == {"data": {"gallery": {"projects": [{"projectId": 7}]}}}
    named = {"data": {"gallery": {"projects": [{"projectName": "Project 7"}]}}}
    assert others == [named, {"data": {**first["data"], "project": {"projectId": 7}}}, named]
    assert len(upstream.requests) == 1


async def test_a_response_with_too_many_images_is_refused_before_it_is_written(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr(
        "gallery_gateway.execution.compiler.msgspec.convert", lambda value, *_, **__: written.append(value)
    )
    projects = [project_body(number, *map(image_body, range(50))) for number in range(1, 21)]
    upstream.answer(json=page_body(*projects))
    aliases = " ".join(f"a{number}: images {{ imageIndex }}" for number in range(21))
    async with gateway(upstream) as client:
        answer = await client.ask(f"{{ gallery {{ projects {{ {aliases} }} }} }}")

    assert "21000 images" in answer["errors"][0]["message"].replace(",", "")
    assert written == []
    assert len(upstream.requests) == 1
