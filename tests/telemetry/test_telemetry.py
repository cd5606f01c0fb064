"""Operations and upstream calls, from the request to the log line and the metric."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Send

from gallery_gateway.app import create_app
from gallery_gateway.settings import Settings
from gallery_gateway.telemetry import logs
from gallery_gateway.upstream.resilience import ResilienceRules
from gallery_gateway.upstream.retries import RetryRules
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway, page_body
from tests.logging_to import Written
from tests.telemetry.recording import samples, value
from tests.telemetry.scraping import free_port, scraped
from tests.upstream.sockets import http_response, serving

FAST_RETRIES = ResilienceRules(retries=RetryRules(first_wait_seconds=0.01))

DASHBOARD = "query Dashboard { gallery { pagination { total } } }"


@contextmanager
def json_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Standard error for as long as the block lasts."""
    stream = Written()
    with monkeypatch.context() as patched:
        patched.setattr("sys.stderr", stream)
        yield stream
    logs.configure("info")


def lines(written: Written, event: str) -> list[dict[str, Any]]:
    return [line for line in written.lines() if line["event"] == event]


@pytest.mark.parametrize(
    ("document", "outcome"), [(DASHBOARD, "ok"), ("{ gallery(page: 0) { __typename } }", "error")]
)
async def test_the_line_of_a_plan_says_that_nothing_was_executed(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream, document: str, outcome: str
) -> None:
    with json_log(monkeypatch) as written:
        async with gateway(upstream) as client:
            await client.post(document, headers={"x-gateway-report": "plan"})

        (operation,) = lines(written, "operation.served")
    assert (operation["executor"], operation["outcome"]) == ("plan", outcome)
    assert "calls" not in operation


async def test_an_operation_and_its_call_are_one_line_each_under_one_request_id(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    with json_log(monkeypatch) as written:
        async with gateway(upstream) as client:
            response = await client.post(DASHBOARD, headers={"x-request-id": "mine"})

        (operation,), (call,) = lines(written, "operation.served"), lines(written, "upstream.called")
    assert 0 < call.pop("seconds") < operation.pop("seconds") < 10
    del operation["time"], call["time"]
    assert call == {
        "level": "info",
        "event": "upstream.called",
        "request_id": "mine",
        "caller": operation["caller"],
        "outcome": "ok",
        "status": 200,
        "bytes": len(httpx.Response(200, json=page_body()).content),
    }
    assert operation == {
        "level": "info",
        "event": "operation.served",
        "request_id": "mine",
        "method": "POST",
        "caller": call["caller"],
        "operation": "Dashboard",
        "kind": "query",
        "executor": "compiled",
        "outcome": "ok",
        "status": 200,
        "bytes": len(response.content),
        "calls": 1,
        "narrowed_images": 20 * 49,
    }


@pytest.mark.parametrize(
    ("document", "executors"),
    [
        (DASHBOARD, ["compiled", "compiled"]),
        ("{ __schema { queryType { name } } }", ["plain", "plain"]),
        ("{ gallery(page: 0) { pagination { total } } }", ["plain", "plain"]),
        ("{ nothing }", [None, None]),
    ],
    ids=["a plan, and its replay", "introspection", "a bad argument", "refused"],
)
async def test_an_operation_says_what_executed_it(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream, document: str, executors: list[str | None]
) -> None:
    with json_log(monkeypatch) as written:
        async with gateway(upstream) as client:
            await client.post(document)
            await client.post(document)

        served = lines(written, "operation.served")
    assert [line.get("executor") for line in served] == executors


class Observed:
    """An app, with the lines and the figures of its operations."""

    def __init__(self, app: ASGIApp, written: Written, port: int) -> None:
        self._app = app
        self._written = written
        self._port = port

    async def run(self, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {TOKEN}".encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "query_string": b"",
            "headers": headers,
        }
        await self._app(scope, receive, send)

    async def only_operation(self) -> dict[str, Any]:
        """Its line; there is one observation of it in the metrics too, with the same outcome."""
        (line,) = lines(self._written, "operation.served")
        text = await scraped(self._port)
        counted = [
            (sample.labels["outcome"], sample.value)
            for sample in samples(text)
            if sample.name == "gallery_gateway_operation_duration_seconds_count"
        ]
        assert counted == [(line["outcome"], 1)]
        return line


@asynccontextmanager
async def observed(monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream) -> AsyncIterator[Observed]:
    """The app on its bare ASGI interface, so that a test can be any client and any server."""
    port = free_port()
    with json_log(monkeypatch) as written:
        settings = Settings.read(_env_file=None, metrics_port=port)
        app = create_app(settings, transport=upstream, owns_process=True)
        async with app.router.lifespan_context(app):
            yield Observed(app, written, port)


def sending(*messages: dict[str, Any]) -> Receive:
    """A client that sends these, and then nothing more."""
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0) if left else await asyncio.Event().wait()

    return receive


async def discard(_message: Any) -> None:
    """A client that takes everything."""


BODY = json.dumps({"query": DASHBOARD}).encode()
COMPLETE = {"type": "http.request", "body": BODY, "more_body": False}
HALF = {"type": "http.request", "body": BODY[:9], "more_body": True}


@pytest.mark.parametrize("messages", [[], [HALF]], ids=["before its body", "within its body"])
async def test_a_client_that_leaves_while_it_sends_is_one_cancelled_operation(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream, messages: list[dict[str, Any]]
) -> None:
    async with observed(monkeypatch, upstream) as app:
        await app.run(sending(*messages, {"type": "http.disconnect"}), discard)

        line = await app.only_operation()
    assert (line["outcome"], line.get("status"), line.get("codes")) == ("cancelled", None, None)


@pytest.mark.parametrize(
    "messages", [[HALF], [COMPLETE]], ids=["within its body", "while upstream is called"]
)
async def test_an_operation_that_the_process_gives_up_is_one_cancelled_operation(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream, messages: list[dict[str, Any]]
) -> None:
    reached = asyncio.Event()
    sent: list[Any] = []
    receive_messages = sending(*messages)

    async def never(_request: httpx.Request) -> httpx.Response:
        reached.set()
        return await asyncio.Future()

    async def receive() -> Any:
        message = await receive_messages()
        if message["more_body"]:
            reached.set()
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    upstream.handler = never
    async with observed(monkeypatch, upstream) as app:
        running = asyncio.create_task(app.run(receive, send))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        line = await app.only_operation()
    assert (line["outcome"], line["status"], line["codes"]) == ("cancelled", 503, ["UPSTREAM_UNAVAILABLE"])
    assert (b"x-request-id", line["request_id"].encode()) in sent[0]["headers"]


async def test_an_answer_that_is_cancelled_while_it_is_sent_is_one_cancelled_operation(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    sending_began = asyncio.Event()

    async def send(_message: Any) -> None:
        """The client does not read, so that its connection takes no more."""
        sending_began.set()
        await asyncio.Future()

    async with observed(monkeypatch, upstream) as app:
        running = asyncio.create_task(app.run(sending(COMPLETE), send))
        await sending_began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        line = await app.only_operation()
    assert (line["outcome"], line["operation"], line["status"]) == ("cancelled", "Dashboard", 200)


async def test_a_client_that_has_gone_when_it_is_answered_is_one_cancelled_operation(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    async def send(_message: Any) -> None:
        raise ConnectionResetError

    async with observed(monkeypatch, upstream) as app:
        await app.run(sending(COMPLETE), send)

        line = await app.only_operation()
    assert (line["outcome"], line["operation"], line["status"]) == ("cancelled", "Dashboard", 200)


async def test_each_retry_is_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    upstream.answer(503)

    with json_log(monkeypatch) as written:
        async with gateway(upstream, upstream_max_attempts=2, rules=FAST_RETRIES) as client:
            await client.ask(DASHBOARD)

        calls = lines(written, "upstream.called")
    assert [(call["outcome"], call["status"], call.get("attempt", 1)) for call in calls] == [
        ("UPSTREAM_UNAVAILABLE", 503, 1),
        ("UPSTREAM_UNAVAILABLE", 503, 2),
    ]
    assert {call["level"] for call in calls} == {"warning"}


@pytest.mark.parametrize(
    ("answers", "resent"),
    [
        ("page page", [None, None]),
        ("page close page", [None, True]),
        ("page 408 page", [None, True]),
        ("page close close", [None, True]),
        # The first request of a connection.
        ("close", [None]),
    ],
)
async def test_the_line_of_a_call_says_that_its_request_was_sent_twice(
    monkeypatch: pytest.MonkeyPatch, answers: str, resent: list[bool | None]
) -> None:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        match left.pop(0):
            case "close":
                writer.close()
            case "408":
                writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            case _:
                writer.write(http_response(json.dumps(page_body()).encode()))

    left = answers.split()
    with json_log(monkeypatch) as written:
        async with serving(respond) as server, gateway(None, upstream_url=server.url) as client:
            for size, _ in enumerate(resent, start=1):
                await client.ask(f"{{ gallery(perPage: {size}) {{ pagination {{ total }} }} }}")

        calls = lines(written, "upstream.called")
    assert [call.get("resent") for call in calls] == resent
    assert len(server.heads) == len(answers.split())


@pytest.mark.parametrize(
    ("document", "outcome", "codes"),
    [
        ("{ nothing }", "refused", ["GRAPHQL_VALIDATION_FAILED"]),
        ("{", "refused", ["GRAPHQL_PARSE_FAILED"]),
        ("{ gallery(page: 0) { pagination { total } } }", "error", ["BAD_USER_INPUT"]),
        ("{ a: gallery(page: 0) { pagination { total } } __typename }", "error", ["BAD_USER_INPUT"]),
    ],
)
async def test_errors_are_reported_by_their_codes(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream, document: str, outcome: str, codes: list[str]
) -> None:
    with json_log(monkeypatch) as written:
        async with gateway(upstream) as client:
            await client.post(document)

        (line,) = lines(written, "operation.served")
    assert (line["outcome"], line["codes"]) == (outcome, codes)


async def test_a_request_that_is_no_operation_is_reported_as_refused(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    with json_log(monkeypatch) as written:
        async with gateway(upstream) as client:
            await client.http.put("/graphql")

        (line,) = lines(written, "operation.served")
    assert (line["outcome"], line["status"], line["codes"]) == ("refused", 405, ["BAD_REQUEST"])


async def test_a_page_for_browsers_is_no_operation(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    with json_log(monkeypatch) as written:
        async with gateway(upstream) as client:
            response = await client.http.get("/graphql", headers={"accept": "text/html"})

        assert response.status_code == 200
        assert written.lines() == []


async def ask_often(client: Client, times: int) -> None:
    for _ in range(times):
        await client.ask(DASHBOARD)


async def test_answers_are_counted_by_source_and_what_they_spared_in_bytes(upstream: FakeUpstream) -> None:
    port = free_port()
    weight = len(httpx.Response(200, json=page_body()).content)

    async with gateway(upstream, metrics_port=port, log_level="warning") as client:
        # The fourth and fifth are answered as bytes, without an operation.
        await ask_often(client, 5)
        await asyncio.gather(*(client.ask(DASHBOARD, token=OTHER_TOKEN) for _ in range(3)))
        text = await scraped(port)

    sources = {
        sample.labels["source"]: sample.value
        for sample in samples(text)
        if sample.name == "gallery_gateway_answers_total"
    }
    assert sources == {"hit": 4, "miss": 2, "collapsed": 2, "merged": 0, "stale": 0, "shared": 0}
    assert value(text, "saved_bytes_total") == 6 * weight
    assert value(text, "upstream_received_bytes_total") == 2 * weight
    assert (
        value(text, "operation_duration_seconds_count", operation="Dashboard", outcome="ok")
        == len(upstream.requests) + 6
    )


async def test_the_parts_are_read_with_each_scrape(upstream: FakeUpstream) -> None:
    port = free_port()

    async with gateway(
        upstream, metrics_port=port, cache_max_bytes=10_000_000, upstream_max_connections=7
    ) as client:
        before = await scraped(port)
        await client.ask(DASHBOARD)
        after = await scraped(port)

    assert (value(before, "cache_entries"), value(after, "cache_entries")) == (0, 1)
    assert value(before, "cache_bytes") == 0
    assert 0 < value(after, "cache_bytes") < value(after, "cache_max_bytes") == 10_000_000
    assert (value(before, "prepared_documents"), value(after, "prepared_documents")) == (0, 1)
    assert value(after, "upstream_calls_limit") == 7
    assert (value(after, "upstream_calls_in_flight"), value(after, "upstream_calls_waiting")) == (0, 0)
    states = [value(after, "upstream_breaker", state=state) for state in ("closed", "open", "half_open")]
    assert states == [1, 0, 0]


SECRETS = ["made-up-token", "7391", "hidden-word", "hidden.example", "hidden-id", "nothing-such", "gallery("]


async def test_nothing_private_is_logged_or_measured(
    monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    port = free_port()
    url = "https://hidden.example"

    with json_log(monkeypatch) as written:
        async with gateway(upstream, metrics_port=port, upstream_url=url, log_level="debug") as client:
            await client.ask('{ gallery(search: "hidden-word", projectId: 7391) { pagination { total } } }')
            await client.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": "hidden-id"})
            await client.ask("{ gallery { nothing } } # nothing-such")
            await client.http.get("/graphql?query={gallery(search:%22hidden-word%22)}")
            upstream.answer(500, text=f"hidden-word {TOKEN}")
            await client.ask('{ gallery(search: "hidden-word", page: 2) { pagination { total } } }')
            text = await scraped(port)

        logged = json.dumps(written.lines())
    labels = json.dumps([sample.labels for sample in samples(text)])
    assert lines(written, "operation.served")
    assert [secret for secret in SECRETS if secret in logged] == []
    assert [secret for secret in SECRETS if secret in labels] == []


async def test_without_a_port_there_are_no_metrics_and_without_a_listener_no_records(
    upstream: FakeUpstream,
) -> None:
    async with gateway(upstream, log_level="warning") as client:
        await client.ask(DASHBOARD)
        endpoint = client.http._transport.app._endpoint  # type: ignore[attr-defined]  # the app of the test

    assert endpoint.telemetry is None
