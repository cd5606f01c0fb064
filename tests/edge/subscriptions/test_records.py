"""What telemetry counts of subscriptions."""

import asyncio

import httpx

from tests.edge.subscriptions.projects_api import COUNTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import opened
from tests.telemetry.recording import value
from tests.telemetry.scraping import free_port, scraped


async def test_streams_are_counted_while_they_are_open_and_by_the_reason_of_their_end() -> None:
    api, called, port = ProjectsAPI(project()), asyncio.Event(), free_port()

    async def answer(request: httpx.Request) -> httpx.Response:
        called.set()
        return await api.answer(request)

    api.upstream.handler = answer
    async with opened(api.upstream, metrics_port=port) as gateway:
        await gateway.subscribe(COUNTS, token=None).ended()
        subscriber = gateway.subscribe(COUNTS)
        await called.wait()
        before = await scraped(port)
        await subscriber.hang_up()
        after = await scraped(port)

    assert [value(text, "subscriptions") for text in (before, after)] == [1, 0]
    assert value(after, "subscription_events_total") == len(subscriber.responses) + 1
    assert value(after, "subscriptions_ended_total", reason="refused") == 1
    assert value(after, "subscriptions_ended_total", reason="disconnected") == 1


async def test_each_poll_is_counted_as_an_operation() -> None:
    port = free_port()
    async with opened(ProjectsAPI(project()).upstream, metrics_port=port) as gateway:
        document = COUNTS.replace("subscription", "subscription Live", 1)
        await gateway.subscribe(document, token=None).ended()

        text = await scraped(port)

    assert value(text, "operation_duration_seconds_count", operation="Live", outcome="error") == 1
    assert value(text, "operation_errors_total", operation="Live", code="UNAUTHENTICATED") == 1
