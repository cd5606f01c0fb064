"""Narrowed, merged and reused answers are the plain ones, and never cost more upstream calls."""

from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream
from tests.fakes import gateway

TOKEN = CALLERS[0].token
NOON = 1_780_000_000.0
ENDPOINT = create_upstream(clock=lambda: NOON)

FRAGMENTS = """
fragment File on Image { output { fullSize } inputs { thumbnail } }
fragment Counters on Project { totalImages pendingImages ...Few }
fragment Few on Project { few: images(first: $few) @include(if: $yes) { version } }
"""
VARIABLES = "($yes: Boolean!, $few: Int)"


class CountingEndpoint(httpx.ASGITransport):
    """The demo's endpoint at noon, where nothing changes; it counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(ENDPOINT)
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return await super().handle_async_request(request)


ARGUMENTS = {
    "order": st.sampled_from(["ASC", "DESC"]),
    "status": st.sampled_from(['"completed"', '"failed"', "null"]),
    "sortBy": st.sampled_from(["ORIGINAL_FILENAME", "QUALITY_SCORE"]),
}
CAPS = st.sampled_from([1, 2, 5, 50, 200])
PROJECT_IDS = st.sampled_from([10392, 10393, 10385, 10001, 1])

IMAGE_FIELDS = st.lists(
    st.sampled_from(["id", "status jobId", "__typename", "output { thumbnail }", "...File", "resultId"]),
    min_size=1,
    max_size=3,
).map(" ".join)
FIRST = st.sampled_from(["", "(first: 0)", "(first: 2)", "(first: $few)", "(first: 300)"])
DIRECTIVES = st.sampled_from(["", "@include(if: $yes)", "@skip(if: $yes)", "@include(if: false)"])
IMAGES = st.builds("images{} {} {{ {} }}".format, FIRST, DIRECTIVES, IMAGE_FIELDS)


@st.composite
def project_selections(draw: st.DrawFn) -> str:
    aliased = [f"i{n}: {field}" for n, field in enumerate(draw(st.lists(IMAGES, max_size=2)))]
    others = draw(
        st.lists(
            st.sampled_from(
                ["projectName", "...Counters", "images { id }", "... on Project { createdBy ...Few }"]
            ),
            max_size=2,
        )
    )
    return " ".join(["projectId", *aliased, *others])


@st.composite
def arguments(draw: st.DrawFn, /, **more: st.SearchStrategy[int]) -> str:
    chosen = draw(st.fixed_dictionaries({}, optional={**ARGUMENTS, **more}))
    return "".join(f", {name}: {value}" for name, value in chosen.items())


GALLERIES = st.builds(
    "gallery(page: {}, perPage: {}{}) {{ pagination {{ page perPage total pages hasNext hasPrev }}"
    " projects {{ {} }} }}".format,
    st.integers(1, 4),
    st.sampled_from([1, 2, 4, 12]),
    arguments(maxImagesPerProject=CAPS, projectId=PROJECT_IDS),
    project_selections(),
)
PROJECTS = st.builds(
    "project(projectId: {}{}) {{ {} }}".format, PROJECT_IDS, arguments(maxImages=CAPS), project_selections()
)
OPERATIONS = st.lists(
    st.lists(GALLERIES | PROJECTS, min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


def operation(root_fields: list[str]) -> str:
    named = " ".join(f"r{number}: {field}" for number, field in enumerate(root_fields))
    # Each fragment and variable is used, whatever was generated.
    used = "unused: gallery @skip(if: true) { projects { ...Counters images(first: $few) { ...File } } }"
    return f"query Generated{VARIABLES} {{ {named} {used} __typename @include(if: $yes) }} {FRAGMENTS}"


async def answers(operations: list[list[str]], **chosen: Any) -> tuple[list[Any], int]:
    """What each root field of each operation got, and the upstream calls of them all."""
    endpoint = CountingEndpoint()
    async with gateway(endpoint, log_level="warning", **chosen) as client:
        parts = []
        for root_fields in operations:
            answer = await client.ask(operation(root_fields), {"yes": True, "few": 3}, token=TOKEN)
            assert "errors" not in answer
            parts += [answer["data"][f"r{number}"] for number in range(len(root_fields))]
    return parts, endpoint.calls


@given(operations=OPERATIONS)
async def test_thrift_changes_no_answer_and_costs_no_call_more(operations: list[list[str]]) -> None:
    each_alone = [[field] for root_fields in operations for field in root_fields]
    plain, plain_calls = await answers(each_alone, cache_ttl_seconds=0, narrowing=False)

    thrifty, thrifty_calls = await answers(operations)

    assert thrifty == plain
    assert thrifty_calls <= plain_calls


@given(operations=OPERATIONS)
async def test_narrowing_alone_changes_no_answer(operations: list[list[str]]) -> None:
    plain, _ = await answers(operations, cache_ttl_seconds=0, narrowing=False)

    narrowed, _ = await answers(operations, cache_ttl_seconds=0)

    assert narrowed == plain
