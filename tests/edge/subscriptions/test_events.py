"""The events of a subscription are the answers to its query at each change of the list, without repeats.

Compiled and plain execution send the same events at the same moments.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.edge.endpoint import GraphQLEndpoint
from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor
from gallery_gateway.schema.build import build_schema, executable
from tests import virtual_time
from tests.edge.subscriptions.projects_api import ProjectsAPI, project
from tests.edge.subscriptions.subscribing import Gateway, opened
from tests.fakes import document_limits

SCHEMA = executable(build_schema())
PLAIN = Executor(SCHEMA, Documents(SCHEMA, document_limits()), Compiler(SCHEMA, {}))

SELECTIONS = [
    "gallery { projects { completedImages failedImages } }",
    "gallery { projects { projectId pendingImages images { status } } }",
    "gallery { pagination { total } }",
    "gallery(perPage: 1) { pagination { hasNext } projects { name: projectName images(first: 1) { id } } }",
    "gallery(page: 2, perPage: 2) { projects { projectId __typename } }",
    "project(projectId: 2) { projectName images(first: 2) { imageIndex status output { fullSize } } }",
    "project(projectId: 3) { id pendingImages }",
]
TTL_SECONDS = 3.0
# Each change is seen before the next one.
BETWEEN_SECONDS = 3.5
SETTLED_SECONDS = 60.0

Projects = list[dict[str, Any]]


def settle(projects: Projects, place: int, status: str) -> None:
    """End the first unfinished image of a project."""
    found = projects[place % len(projects)]
    for image in found["images"]:
        if image["status"] == "processing":
            image["status"] = status
            found[f"{status}_images"] += 1
            return


def restart(projects: Projects, place: int) -> None:
    projects[place % len(projects)] = project(projects[place % len(projects)]["project_id"], pending=2)


def rename(projects: Projects, place: int) -> None:
    projects[place % len(projects)]["project_name"] += "!"


def add(projects: Projects, place: int) -> None:
    projects.insert(place % len(projects), project(max(p["project_id"] for p in projects) + 1, pending=0))


def remove(projects: Projects, place: int) -> None:
    if len(projects) > 1:
        del projects[place % len(projects)]


CHANGES: list[Callable[[Projects, int], None]] = [
    lambda projects, place: settle(projects, place, "completed"),
    lambda projects, place: settle(projects, place, "failed"),
    restart,
    rename,
    add,
    remove,
    lambda _projects, _place: None,
]


def plain_app(gateway: Gateway) -> GraphQLEndpoint:
    """Return the endpoint of the app, over the same cache, without plans."""
    endpoints = [getattr(route, "endpoint", None) for route in gateway.app.routes]
    [endpoint] = [endpoint for endpoint in endpoints if isinstance(endpoint, GraphQLEndpoint)]
    return replace(endpoint, executor=PLAIN)


def has_pending(answer: Any) -> bool:
    """Return whether an answer to the query for the counters of a selection has unfinished images."""
    [value] = answer["data"].values()
    projects = value["projects"] if value and "projects" in value else [value]
    return any(each["pendingImages"] for each in projects if each)


def counting(selection: str) -> str:
    """Return the root field of a selection, with the counters of its projects only."""
    root = selection.partition(" {")[0]
    below = "pendingImages" if root.startswith("project") else "projects { pendingImages }"
    return f"{{ {root} {{ {below} }} }}"


async def follow(selection: str, changes: Sequence[tuple[Callable[[Projects, int], None], int]]) -> None:
    api = ProjectsAPI(project(1, pending=2), project(2, pending=1), project(3, pending=0))
    expected: list[Any] = []
    settings: dict[str, Any] = {"cache_ttl_seconds": TTL_SECONDS, "cache_unfinished_ttl_seconds": TTL_SECONDS}
    async with (
        opened(api.upstream, **settings) as gateway,
        opened(api.upstream, cache_ttl_seconds=0) as now,
    ):
        document = f"subscription {{ {selection} }}"
        compiled = gateway.subscribe(document)
        plain = replace(gateway, app=plain_app(gateway)).subscribe(document)
        changed_at = 0.0
        for change, place in [(CHANGES[-1], 0), *changes]:
            change(api.projects, place)
            answer = await now.client.ask(f"{{ {selection} }}")
            if not expected or answer != expected[-1]:
                expected.append(answer)
                changed_at = asyncio.get_running_loop().time()
            await asyncio.sleep(BETWEEN_SECONDS)
            if compiled.is_complete:
                is_pending = has_pending(await now.client.ask(counting(selection)))
                assert not is_pending or change is restart
                assert compiled.events[-1].at - changed_at >= SETTLED_SECONDS - BETWEEN_SECONDS
                break

        assert "errors" not in expected[0]
        assert compiled.responses == expected
        assert plain.responses == expected
        assert [event.at for event in plain.events] == [event.at for event in compiled.events]


@given(
    selection=st.sampled_from(SELECTIONS),
    changes=st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 3)), max_size=25),
)
def test_the_events_are_the_answers_at_each_change(
    selection: str, changes: list[tuple[Callable[[Projects, int], None], int]]
) -> None:
    virtual_time.run(lambda: follow(selection, changes))


@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_events_end_a_minute_after_the_last_change_of_a_finished_list(selection: str) -> None:
    done = [(CHANGES[0], place) for place in range(3) for _ in range(3)]

    virtual_time.run(lambda: follow(selection, done + [(CHANGES[-1], 0)] * 25))


async def wait(selection: str) -> None:
    api = ProjectsAPI(project(1, pending=2), project(2, pending=1))
    async with opened(api.upstream, cache_unfinished_ttl_seconds=TTL_SECONDS) as gateway:
        document = f"subscription {{ {selection} }}"
        compiled = gateway.subscribe(document)
        plain = replace(gateway, app=plain_app(gateway)).subscribe(document)

        await asyncio.sleep(5 * SETTLED_SECONDS)

        assert not compiled.is_complete
        assert not plain.is_complete
        assert compiled.responses == plain.responses
        assert len(compiled.responses) == 1


@pytest.mark.parametrize(
    "selection", ["gallery { projects { completedImages } }", SELECTIONS[1], SELECTIONS[5]]
)
def test_a_subscription_stays_open_while_images_are_pending_however_long_nothing_changes(
    selection: str,
) -> None:
    virtual_time.run(lambda: wait(selection))


async def follow_a_part() -> None:
    """Three subscribers of a finished project, whose page is part of that of a subscriber of all projects."""
    api = ProjectsAPI(project(1, pending=0), project(2, pending=1))
    async with opened(api.upstream, cache_unfinished_ttl_seconds=TTL_SECONDS) as gateway:
        gateway.subscribe("subscription { gallery(perPage: 100) { projects { pendingImages } } }")
        await asyncio.sleep(0.1)
        parts = [
            gateway.subscribe("subscription { gallery(perPage: 1) { projects { completedImages } } }")
            for _ in range(3)
        ]

        await asyncio.sleep(2 * SETTLED_SECONDS)

        assert all(part.is_complete for part in parts)
        assert {part.events[-1].at - part.events[0].at for part in parts} <= {SETTLED_SECONDS}


def test_a_response_that_is_kept_with_a_larger_page_is_pending_only_if_its_own_images_are() -> None:
    virtual_time.run(follow_a_part)
