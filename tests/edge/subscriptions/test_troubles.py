"""Subscriptions while the REST API fails: what is known stays, and the first good page is sent."""

import asyncio
import itertools
import re

import httpx
import pytest

from tests.edge.subscriptions.projects_api import COUNTS, FAULTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import Subscriber, in_virtual_time, opened

NAME = "subscription { gallery { projects { projectName } } }"
MAX_BACKOFF_SECONDS = 30


def names(subscriber: Subscriber) -> list[str]:
    return [response["data"]["gallery"]["projects"][0]["projectName"] for response in subscriber.responses]


def codes(subscriber: Subscriber) -> list[list[str]]:
    """The codes of the errors of each event."""
    errors = [response.get("errors", []) for response in subscriber.responses]
    return [[error["extensions"]["code"] for error in each] for each in errors]


def waits(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


@pytest.mark.parametrize("fault", FAULTS)
@in_virtual_time
async def test_a_failure_is_no_event_while_a_known_page_may_be_served(fault: str) -> None:
    api = ProjectsAPI(project(project_name="before"))
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(NAME)
        await asyncio.sleep(5)
        api.fault = FAULTS[fault]
        await asyncio.sleep(600)
        api.fault, api.projects = None, [project(project_name="after")]
        recovered_at = asyncio.get_running_loop().time()
        await asyncio.sleep(MAX_BACKOFF_SECONDS + 22)

        assert names(subscriber) == ["before", "after"]
        # A call that hangs at that moment does so for 20 s more.
        assert subscriber.events[-1].at - recovered_at <= MAX_BACKOFF_SECONDS + 21


@pytest.mark.parametrize("fault", FAULTS)
@in_virtual_time
async def test_without_a_known_page_a_failure_is_one_event_until_it_passes(fault: str) -> None:
    api = ProjectsAPI(project(project_name="after"))
    api.fault = FAULTS[fault]
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(NAME)
        await asyncio.sleep(600)
        failed = codes(subscriber)
        api.fault = None
        await asyncio.sleep(2 * MAX_BACKOFF_SECONDS)

    assert len(failed) == 1
    assert len(failed[0]) == 1
    assert codes(subscriber) == [*failed, []]


@in_virtual_time
async def test_an_error_is_sent_once_the_known_page_is_too_old() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream, stale_if_error_seconds=100) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        api.fault = FAULTS["503"]
        await asyncio.sleep(200)

    assert codes(subscriber) == [[], ["UPSTREAM_UNAVAILABLE"]]
    assert 100 <= subscriber.events[1].at <= 103 + MAX_BACKOFF_SECONDS


@in_virtual_time
async def test_a_failing_api_is_called_ever_less_often() -> None:
    api = ProjectsAPI()
    api.fault = FAULTS["500"]
    async with opened(api.upstream) as gateway:
        gateway.subscribe(COUNTS)
        await asyncio.sleep(200)

    found = waits(api.called_at)
    assert found[0] == pytest.approx(1)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(MAX_BACKOFF_SECONDS)


@in_virtual_time
async def test_after_a_failure_that_has_passed_the_waits_begin_again() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        api.fault = FAULTS["500"]
        await asyncio.sleep(60)
        api.fault = None
        await asyncio.sleep(60)
        api.fault = FAULTS["500"]
        failing_again_at = asyncio.get_running_loop().time()
        await asyncio.sleep(5)

    assert len([at for at in api.called_at if at >= failing_again_at]) >= 2


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
@in_virtual_time
async def test_no_call_is_made_before_a_retry_after_has_passed(*, is_known: bool) -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        if is_known:
            await gateway.client.ask(COUNTS.replace("subscription", "query"))
        await asyncio.sleep(10)
        api.fault = lambda: httpx.Response(429, headers={"retry-after": "50"})
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(300)

    refused = [at for at in api.called_at if at >= 10]
    assert len(refused) >= 4
    assert min(waits(refused)) >= 50
    assert codes(subscriber) == [[] if is_known else ["RATE_LIMITED"]]


@in_virtual_time
async def test_heartbeats_are_sent_while_the_first_page_is_loaded() -> None:
    api = ProjectsAPI(project(), seconds=29)
    async with opened(api.upstream, operation_timeout_seconds=60) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(28)
        before = subscriber.text
        await asyncio.sleep(2)

    assert re.fullmatch(rb"retry: \d+\n\n:\n\n:\n\n", before)
    assert [event.at for event in subscriber.events[:1]] == [29]


@in_virtual_time
async def test_a_page_that_never_comes_is_an_error_after_the_time_of_an_operation() -> None:
    api = ProjectsAPI(project(), seconds=1_000)
    async with opened(api.upstream, operation_timeout_seconds=20) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(21)

    assert [event.at for event in subscriber.events[:1]] == [20]
    assert codes(subscriber) == [["UPSTREAM_TIMEOUT"]]


@in_virtual_time
async def test_an_older_page_that_stands_in_for_a_failing_api_is_no_event() -> None:
    api = ProjectsAPI(project(project_name="before"))
    async with opened(api.upstream) as gateway:
        await gateway.client.ask("{ gallery(perPage: 50) { projects { projectName } } }")
        await asyncio.sleep(40)
        api.projects, api.headers = [project(project_name="after")], {"cache-control": "no-store"}
        subscriber = gateway.subscribe(NAME)
        await asyncio.sleep(0.5)
        api.fault = FAULTS["503"]
        await asyncio.sleep(100)

    assert names(subscriber) == ["after"]


@in_virtual_time
async def test_an_error_that_differs_in_the_time_to_wait_only_is_one_event() -> None:
    api = ProjectsAPI(project())
    api.fault = lambda: httpx.Response(429, headers={"retry-after": str(5 + len(api.called_at))})
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(200)

    assert len(api.called_at) > 3
    assert codes(subscriber) == [["RATE_LIMITED"]]
