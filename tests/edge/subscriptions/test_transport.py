"""Which requests get a stream of events, what it looks like, and which are refused before it begins."""

import asyncio
import hashlib
import json
import tracemalloc
from typing import Any

import httpx
import pytest

from gallery_gateway.edge.event_stream import EventStreams
from gallery_gateway.edge.subscription import SubscribedOperation
from tests.edge.sending import GRAPHQL_RESPONSE, JSON, PREFLIGHTED, codes
from tests.edge.subscriptions.projects_api import COUNTS, ProjectsAPI, project
from tests.edge.subscriptions.subscribing import in_virtual_time, opened, read_event
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway

EVENTS = "text/event-stream"
TOTAL = "{ gallery { pagination { total } } }"
# What urql sends with every operation.
URQL = f"{GRAPHQL_RESPONSE}, application/graphql+json, {JSON}, {EVENTS}, multipart/mixed"


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """The events of a stream that has ended."""
    blocks = [block for block in response.content.split(b"\n\n") if block.startswith(b"event: ")]
    return [read_event(block)[:2] for block in blocks]


async def get(client: Client, document: str, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.get("/graphql", params={"query": document}, headers=sent)


@in_virtual_time
async def test_a_stream_is_kept_by_nobody_and_delayed_by_no_proxy() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS, x_request_id="mine")
        await asyncio.sleep(1)

        assert subscriber.status == 200
        assert subscriber.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert subscriber.headers["cache-control"] == "no-store"
        assert subscriber.headers["x-accel-buffering"] == "no"
        assert subscriber.headers["x-request-id"] == "mine"
        assert subscriber.headers["x-content-type-options"] == "nosniff"
        assert "Accept" in subscriber.headers["vary"]
        assert "content-length" not in subscriber.headers
        retry, _ = subscriber.text.split(b"\n\n", 1)
        assert 1_000 <= int(retry.removeprefix(b"retry: ")) <= 5_000


@pytest.mark.parametrize(
    ("accept", "query", "subscription"),
    [
        (EVENTS, EVENTS, 200),
        ("Text/Event-Stream", EVENTS, 200),
        (URQL, GRAPHQL_RESPONSE, 200),
        (f"{EVENTS}, {JSON}", EVENTS, 200),
        (f"{JSON}, {EVENTS}", JSON, 200),
        (f"{EVENTS};q=0.5, {JSON}", JSON, 200),
        (f"{EVENTS}, */*;q=0.1", EVENTS, 200),
        (f"{EVENTS}, multipart/mixed", EVENTS, 200),
        (f"{EVENTS};q=0, {JSON}", JSON, 406),
        (f"{EVENTS};q=0, */*", JSON, 406),
        ("*/*", JSON, 406),
        ("text/*, */*;q=0.1", JSON, 406),
        (JSON, JSON, 406),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE, 406),
        ("", JSON, 406),
    ],
)
async def test_events_are_sent_to_clients_that_name_them(
    client: Client, accept: str, query: str, subscription: int
) -> None:
    answered = await client.post(TOTAL, headers={"accept": accept})
    # Ends at once, with an error.
    subscribed = await client.post(f"subscription {TOTAL}", token=None, headers={"accept": accept})

    assert answered.status_code == 200
    assert answered.headers["content-type"] == f"{query}; charset=utf-8"
    assert subscribed.status_code == subscription
    if subscription == 406:
        assert "`Accept: text/event-stream`" in subscribed.json()["errors"][0]["message"]
        assert codes(subscribed) == ["BAD_REQUEST"]
    else:
        assert subscribed.headers["content-type"] == f"{EVENTS}; charset=utf-8"


async def test_a_query_may_be_asked_for_as_a_stream_of_one_event(
    client: Client, upstream: FakeUpstream
) -> None:
    plain = await client.post(TOTAL)
    for _ in range(3):
        streamed = await client.post(TOTAL, headers={"accept": EVENTS})

        assert events(streamed) == [("next", plain.json()), ("complete", None)]
        assert streamed.headers["cache-control"] == "no-store"
        assert "etag" not in streamed.headers
    again = await client.post(TOTAL)

    assert again.content == plain.content
    assert again.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert len(upstream.requests) == 1


async def test_what_a_client_has_as_json_is_no_stream(client: Client) -> None:
    token = f"Bearer {TOKEN}"
    plain = await get(client, TOTAL, authorization=token, **PREFLIGHTED)
    etag = plain.headers["etag"]

    again = await get(client, TOTAL, authorization=token, if_none_match=etag, **PREFLIGHTED)
    streamed = await get(client, TOTAL, authorization=token, if_none_match=etag, accept=EVENTS, **PREFLIGHTED)

    assert again.status_code == 304
    assert streamed.status_code == 200
    assert events(streamed) == [("next", plain.json()), ("complete", None)]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { gallery { pagination { total } } project(projectId: 7) { id } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription { gallery(page: 0) { pagination { total } } }", "BAD_USER_INPUT"),
        ("subscription ($page: Int!) { gallery(page: $page) { pagination { total } } }", "BAD_USER_INPUT"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_cannot_be_run_is_one_event_with_its_error(
    client: Client, upstream: FakeUpstream, document: str, code: str, method: str
) -> None:
    if method == "GET":
        token = f"Bearer {TOKEN}"
        response = await get(client, document, accept=EVENTS, authorization=token, **PREFLIGHTED)
    else:
        response = await client.post(document, headers={"accept": EVENTS})

    (name, answer), end = events(response)
    assert (name, end) == ("next", ("complete", None))
    assert answer["errors"][0]["extensions"]["code"] == code
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_document_that_is_not_stored_is_one_event_with_its_error(
    upstream: FakeUpstream, method: str
) -> None:
    """The client sends the document then, and does so only if it can read the error."""
    body = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}
    headers = {"accept": EVENTS, "authorization": f"Bearer {TOKEN}", "content-type": JSON}
    async with gateway(upstream, persisted_queries_max_bytes=10_000) as client:
        if method == "GET":
            parameters = {"extensions": json.dumps(body["extensions"])}
            response = await client.http.get("/graphql", params=parameters, headers=headers)
        else:
            response = await client.http.post("/graphql", json=body, headers=headers)

    (name, answer), end = events(response)
    assert (name, end) == ("next", ("complete", None))
    assert answer["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize("document", [TOTAL, f"subscription {TOTAL}"])
async def test_without_a_token_the_only_event_is_an_error(client: Client, document: str) -> None:
    response = await client.post(document, token=None, headers={"accept": EVENTS})

    (_, answer), end = events(response)
    assert answer["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert end == ("complete", None)


async def test_a_get_that_any_page_could_send_opens_no_stream(client: Client) -> None:
    """`EventSource` of a browser can send no header."""
    response = await get(client, f"subscription {TOTAL}", accept=EVENTS)

    assert response.status_code == 400
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert "apollo-require-preflight" in response.json()["errors"][0]["message"]


async def test_a_get_without_that_accept_says_what_to_send(client: Client) -> None:
    response = await get(client, f"subscription {TOTAL}", **PREFLIGHTED)

    assert response.status_code == 406
    assert codes(response) == ["BAD_REQUEST"]


async def test_what_is_refused_unread_is_json(client: Client) -> None:
    headers = {"accept": EVENTS, "content-type": "text/plain"}
    response = await client.http.post("/graphql", content="{}", headers=headers)

    assert response.status_code == 415
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"


async def test_a_head_ends_with_the_head(client: Client) -> None:
    headers = {"accept": EVENTS, "authorization": f"Bearer {TOKEN}", **PREFLIGHTED}
    parameters = {"query": f"subscription {TOTAL}"}

    response = await asyncio.wait_for(client.http.head("/graphql", params=parameters, headers=headers), 5)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{EVENTS}; charset=utf-8"
    assert response.content == b""


async def test_a_page_of_an_allowed_origin_may_subscribe(upstream: FakeUpstream) -> None:
    async with gateway(upstream, cors_origins="https://shop.example") as client:
        headers = {"accept": EVENTS, "origin": "https://shop.example"}
        response = await client.post(f"subscription {TOTAL}", token=None, headers=headers)

    assert response.headers["access-control-allow-origin"] == "https://shop.example"


@in_virtual_time
async def test_a_caller_may_have_20_streams_and_others_are_not_affected() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        streams = [gateway.subscribe(COUNTS) for _ in range(20)]
        await asyncio.sleep(1)
        response = await gateway.client.post(COUNTS, headers={"accept": EVENTS})
        other = gateway.subscribe(COUNTS, token=OTHER_TOKEN)
        await asyncio.sleep(1)

        assert {stream.status for stream in streams} == {200}
        assert response.status_code == 429
        assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
        assert response.headers["retry-after"] == "5"
        assert response.json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 5}
        assert other.status == 200


@in_virtual_time
async def test_a_process_refuses_streams_beyond_its_limit_and_while_it_ends() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream, streams=EventStreams(max_streams=2)) as gateway:
        streams = [gateway.subscribe(COUNTS, token=f"made-up-{number}") for number in range(2)]
        await asyncio.sleep(1)
        full = await gateway.client.post(COUNTS, headers={"accept": EVENTS})
        gateway.streams.close()
        await asyncio.gather(*(stream.ended() for stream in streams))
        ending = await gateway.client.post(COUNTS, headers={"accept": EVENTS})

    assert all(stream.is_complete for stream in streams)
    for response, reason in (full, "has too many open subscriptions"), (ending, "is shutting down"):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        (error,) = response.json()["errors"]
        assert error["extensions"] == {"code": "OVERLOADED", "retryAfter": 5}
        assert f"The gateway {reason}" in error["message"]


@in_virtual_time
async def test_an_app_that_runs_again_opens_streams_again() -> None:
    api = ProjectsAPI(project(pending=0))
    async with opened(api.upstream) as gateway:
        pass
    async with gateway.app.router.lifespan_context(gateway.app):
        subscriber = gateway.subscribe(COUNTS)
        await subscriber.ended()

    assert subscriber.status == 200
    assert [event.name for event in subscriber.events] == ["next", "complete"]


@in_virtual_time
async def test_a_stream_ends_after_half_an_hour_although_images_are_pending() -> None:
    api = ProjectsAPI(project(pending=1))
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS)
        await subscriber.ended()

        assert [event.name for event in subscriber.events] == ["next", "complete"]
        assert subscriber.events[-1].at == pytest.approx(1_800)
        assert dict(gateway.streams.ended) == {"time_limit": 1}


@in_virtual_time
async def test_a_document_that_is_no_longer_stored_goes_on() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream, persisted_queries_max_bytes=10_000) as gateway:
        digest = hashlib.sha256(COUNTS.encode()).hexdigest()
        persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
        body = json.dumps({"query": COUNTS, "extensions": persisted})
        await gateway.client.http.post("/graphql", content=body, headers={"content-type": JSON})
        subscriber = gateway.subscribe(None, extensions=persisted)
        await asyncio.sleep(1)
        for number in range(100):
            text = f"{{ gallery {{ pagination {{ a{number}: total {'total ' * 50} }} }} }}"
            digest = hashlib.sha256(text.encode()).hexdigest()
            persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
            body = json.dumps({"query": text, "extensions": persisted})
            await gateway.client.http.post("/graphql", content=body, headers={"content-type": JSON})
        api.projects = [project(pending=0)]
        await asyncio.sleep(10)

        assert len(subscriber.responses) == 2
        assert all("errors" not in response for response in subscriber.responses)


@in_virtual_time
async def test_a_stream_keeps_little_of_a_large_request() -> None:
    api = ProjectsAPI(project())
    document = "subscription ($size: Int!) { gallery(perPage: $size) { projects { pendingImages } } }"
    async with opened(api.upstream) as gateway:
        gateway.subscribe(document, variables={"size": 5})
        await asyncio.sleep(1)
        tracemalloc.start()
        try:
            streams = []
            for number in range(10):
                more = {"more": [f"{number} {index}" for index in range(9_000)]}
                extensions = {"more": f"{number}" * 100_000}
                streams.append(
                    gateway.subscribe(document, variables={"size": 5, **more}, extensions=extensions)
                )
                await asyncio.sleep(1)
            kept_bytes = tracemalloc.get_traced_memory()[0] / len(streams)
        finally:
            tracemalloc.stop()
        api.projects = [project(pending=0)]
        await asyncio.sleep(4)

        assert {len(stream.responses) for stream in streams} == {2}
        assert all("errors" not in response for stream in streams for response in stream.responses)
        # With the last variables, which the test keeps itself.
        assert kept_bytes < 200_000


@in_virtual_time
async def test_each_event_reports_its_own_calls() -> None:
    api = ProjectsAPI(project())
    async with opened(api.upstream) as gateway:
        subscriber = gateway.subscribe(COUNTS, x_gateway_report="1")
        await asyncio.sleep(1)
        api.projects = [project(pending=0)]
        await asyncio.sleep(10)

        reports = [response["extensions"]["upstream"] for response in subscriber.responses]
        assert [report["calls"] for report in reports] == [1, 1]


async def test_a_plan_of_a_subscription_is_one_event(client: Client, upstream: FakeUpstream) -> None:
    headers = {"accept": EVENTS, "x-gateway-report": "plan"}

    response = await client.post(f"subscription {TOTAL}", headers=headers)

    (_, answer), end = events(response)
    assert len(answer["extensions"]["plan"]["calls"]) == 1
    assert end == ("complete", None)
    assert upstream.requests == []


@in_virtual_time
async def test_no_cache_forces_the_first_poll_only() -> None:
    api = ProjectsAPI(project(pending=0))
    async with opened(api.upstream) as gateway:
        await gateway.client.ask(COUNTS.replace("subscription", "query"))
        await asyncio.sleep(2)
        gateway.subscribe(COUNTS, cache_control="no-cache")
        await asyncio.sleep(40)

    assert [round(at) for at in api.called_at] == [0, 2, 32]


@pytest.mark.parametrize("refused", ["Live { gallery(page: 0)", "Live($page: Int!) { gallery(page: $page)"])
async def test_the_polls_are_no_lines_but_the_stream_is(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str], refused: str
) -> None:
    async with gateway(upstream, log_format="json") as client:
        document = f"subscription {refused} {{ pagination {{ total }} }} }}"
        await client.post(document, headers={"accept": EVENTS, "x-request-id": "mine"})

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["subscription.opened", "subscription.ended"]
    assert {line["request_id"] for line in lines} == {"mine"}
    assert (lines[1]["reason"], lines[1]["events"]) == ("refused", 1)


async def test_a_bug_is_one_masked_event(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(SubscribedOperation, "_is_new", fail)

    async with gateway(upstream) as client:
        headers = {"accept": EVENTS, "x-request-id": "mine"}
        response = await client.post(f"subscription {TOTAL}", headers=headers)

    (_, answer), end = events(response)
    assert answer["errors"][0]["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "mine"}
    assert end == ("complete", None)
    assert "secret detail" not in response.text
    assert "secret detail" in capsys.readouterr().err
