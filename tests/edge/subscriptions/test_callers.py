"""Subscriptions end with the token of their caller, and with their client."""

import asyncio
import base64
import json

import httpx
import pytest

from tests.edge.subscriptions.projects_api import COUNTS, FAULTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import Subscriber, in_virtual_time, opened
from tests.fakes import OTHER_TOKEN, TOKEN
from tests.gallery.endpoints import NOON


def jwt(expires_in_seconds: float) -> str:
    """Return a made-up token that expires so long after the clock of the tests began."""
    claims = json.dumps({"exp": NOON + expires_in_seconds}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.made-up"


def errors(subscriber: Subscriber) -> list[str]:
    """The codes in the last response, which is the only one with errors."""
    assert not [response for response in subscriber.responses[:-1] if "errors" in response]
    return [error["extensions"]["code"] for error in subscriber.responses[-1].get("errors", [])]


@pytest.mark.parametrize(("status", "code"), [(401, "UNAUTHENTICATED"), (403, "FORBIDDEN")])
@in_virtual_time
async def test_a_token_that_is_revoked_ends_its_streams_and_no_others(status: int, code: str) -> None:
    api, others = ProjectsAPI(project()), ProjectsAPI(project())

    async def answer(request: httpx.Request) -> httpx.Response:
        own = api if request.headers["authorization"] == f"Bearer {TOKEN}" else others
        return await own.answer(request)

    api.upstream.handler = answer
    async with opened(api.upstream) as gateway:
        revoked = [gateway.subscribe(COUNTS) for _ in range(3)]
        other = gateway.subscribe(COUNTS, token=OTHER_TOKEN)
        await asyncio.sleep(10)
        api.fault = lambda: httpx.Response(status)
        await asyncio.gather(*(subscriber.ended() for subscriber in revoked))
        ended_at = asyncio.get_running_loop().time()
        others.projects = [project(pending=0)]
        await asyncio.sleep(4)

        assert [errors(subscriber) for subscriber in revoked] == [[code]] * 3
        assert all(subscriber.is_complete for subscriber in revoked)
        # The time to live of a page with pending images.
        assert ended_at <= 13.1
        assert len(other.responses) == 2
        assert not other.task.done()
        assert len(gateway.streams) == 1


@in_virtual_time
async def test_a_token_that_expires_ends_its_streams_with_it() -> None:
    api = ProjectsAPI(project(pending=0))
    async with opened(api.upstream) as gateway:
        expiring = gateway.subscribe(COUNTS, token=jwt(40))
        lasting = gateway.subscribe(COUNTS, token=jwt(400))
        await expiring.ended()
        ended_at = asyncio.get_running_loop().time()
        await asyncio.sleep(1)

        assert errors(expiring) == ["UNAUTHENTICATED"]
        assert 40 <= ended_at < 40.1
        assert not lasting.task.done()


@in_virtual_time
async def test_an_expired_token_is_shown_nothing_while_the_api_is_down() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS, token=jwt(40))
        await asyncio.sleep(30)
        api.fault = FAULTS["503"]
        await subscriber.ended()

    assert len(subscriber.responses) == 2
    assert errors(subscriber) == ["UNAUTHENTICATED"]


@in_virtual_time
async def test_a_token_that_expires_ends_a_stream_that_has_to_wait_for_longer() -> None:
    api = ProjectsAPI()
    api.fault = lambda: httpx.Response(429, headers={"retry-after": "3000"})
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS, token=jwt(40))
        await subscriber.ended()

    codes = [response["errors"][0]["extensions"]["code"] for response in subscriber.responses]
    assert codes == ["RATE_LIMITED", "UNAUTHENTICATED"]
    assert subscriber.events[-1].at == pytest.approx(40, abs=0.1)
    assert len(api.called_at) == 1


@in_virtual_time
async def test_a_token_that_has_expired_causes_no_call() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        await asyncio.sleep(50)
        subscriber = gateway.subscribe(COUNTS, token=jwt(40))
        await subscriber.ended()

    assert errors(subscriber) == ["UNAUTHENTICATED"]
    assert api.called_at == []


@in_virtual_time
async def test_a_client_that_leaves_makes_room_for_another() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscribers = [gateway.subscribe(COUNTS) for _ in range(20)]
        await asyncio.sleep(1)
        refused = gateway.subscribe(COUNTS)
        await refused.ended()
        for subscriber in subscribers:
            await subscriber.hang_up()
        emptied = len(gateway.streams)
        admitted = [gateway.subscribe(COUNTS) for _ in range(20)]
        await asyncio.sleep(1)

        assert refused.status == 429
        assert emptied == 0
        assert {subscriber.status for subscriber in admitted} == {200}


@in_virtual_time
async def test_a_connection_that_breaks_is_counted_as_a_disconnect() -> None:
    async with opened(ProjectsAPI(project()).upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await asyncio.sleep(1)
        subscriber.is_broken = True
        # The next heartbeat.
        await asyncio.sleep(12)

        assert subscriber.task.done()
        assert dict(gateway.streams.ended) == {"disconnected": 1}


@pytest.mark.parametrize("seconds", [0.5, 2.5], ids=["while-it-loads", "while-it-waits"])
@in_virtual_time
async def test_no_task_survives_its_client(seconds: float) -> None:
    api = ProjectsAPI(project(), seconds=1)
    async with opened(api.upstream) as gateway:
        before = asyncio.all_tasks()
        subscribers = [gateway.subscribe(COUNTS) for _ in range(20)]
        await asyncio.sleep(seconds)
        for subscriber in subscribers:
            await subscriber.hang_up()
        await asyncio.sleep(0.01)
        left = asyncio.all_tasks() - before
        await asyncio.sleep(100)

        # The call that is under way ends by itself.
        assert len(left) == (1 if seconds < 1 else 0)
        assert asyncio.all_tasks() == before
        assert len(api.called_at) == 1
        assert dict(gateway.streams.ended) == {"disconnected": 20}


@in_virtual_time
async def test_no_task_is_left_when_the_app_ends() -> None:
    api = ProjectsAPI(project(), seconds=1)
    before = asyncio.all_tasks()
    async with opened(api.upstream) as gateway:
        subscribers = [gateway.subscribe(COUNTS) for _ in range(20)]
        await asyncio.sleep(3)
        subscribers.append(gateway.subscribe(COUNTS, token=OTHER_TOKEN))
        await asyncio.sleep(0.5)
    await asyncio.gather(*(subscriber.ended() for subscriber in subscribers))
    await asyncio.sleep(0)

    assert all(subscriber.is_complete for subscriber in subscribers)
    assert asyncio.all_tasks() == before
