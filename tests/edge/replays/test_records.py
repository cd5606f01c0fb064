"""Replays of the server: by caller, closed when the process leaves, and recorded by telemetry."""

import asyncio
import json
import signal
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gallery_gateway.demo.server import create_upstream, serve_in_thread
from tests.edge.replays.echo_server import Client
from tests.edge.replays.gateway_server import BY_POST, NAMES, RUNS, gateway, header, with_header
from tests.fakes import OTHER_TOKEN, TOKEN, FakeUpstream, page_body, project_body
from tests.process.serving import PATIENCE_SECONDS, operation, serve
from tests.telemetry.receiver import receiving
from tests.telemetry.recording import value
from tests.telemetry.scraping import free_port, scraped

COUNT = RUNS + 2


def served_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Those that were logged of operations until now."""
    lines = [json.loads(line) for line in "".join(capsys.readouterr()).splitlines()]
    return [line for line in lines if line["event"] == "operation.served"]


async def test_two_callers_get_their_own_responses_to_otherwise_equal_bytes() -> None:
    document = "{ gallery(perPage: 3) { pagination { total } projects { projectName } } }"
    by_ada = operation(document, token="demo-ada-token")
    by_ben = by_ada.replace(b"demo-ada-token", b"demo-ben-token")
    with serve_in_thread(create_upstream()) as upstream_url:
        async with gateway(None, upstream_url=upstream_url) as server:
            client = await server.connect()

            answers = [(await client.ask(request))[1] for request in [by_ada, by_ben] * COUNT]

            assert server.runs == 2 * RUNS
    assert [len(set(answers[::2])), len(set(answers[1::2])), len(set(answers))] == [1, 1, 2]


async def test_equal_ends_of_two_requests_belong_to_the_callers_in_their_beginnings(
    upstream: FakeUpstream,
) -> None:
    def named_after_the_caller(request: httpx.Request) -> httpx.Response:
        name = "ada's" if request.headers["authorization"] == f"Bearer {TOKEN}" else "another's"
        return httpx.Response(200, json=page_body(project_body(7, project_name=name)))

    upstream.handler = named_after_the_caller
    asked = [TOKEN] * RUNS + [OTHER_TOKEN]
    names = []
    async with gateway(upstream) as server:
        for token in asked:
            client = await server.connect()
            request = operation(NAMES, token=token)
            cut = request.index(b"content-length")

            # Behind a whole request, and so in one piece with it.
            await client.ask(operation("{ __typename }", token=token) + request[:cut])
            _, body = await client.ask(request[cut:])

            names.append(json.loads(body)["data"]["gallery"]["projects"][0]["projectName"])

    assert names == ["ada's"] * RUNS + ["another's"]


async def test_a_repeated_request_closes_its_connection_while_the_process_leaves() -> None:
    request = operation(NAMES, token="demo-ada-token")
    with serve_in_thread(create_upstream()) as upstream_url:
        async with serve(upstream_url, shutdown_delay_seconds=120) as server:
            client = Client(*await asyncio.open_connection(server.host, server.port))
            before = [(await client.ask(request))[0] for _ in range(COUNT)]
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await server.get("/readyz"))[0] != 503:
                    pass

            after, _ = await client.ask(request)

            assert "connection:" not in "".join(before)
            assert header(after, "connection") == "close"
            assert await client.is_over()
            await client.hang_up()


async def test_each_replay_is_counted_as_an_operation_under_its_name(
    upstream: FakeUpstream,
) -> None:
    port = free_port()
    async with gateway(upstream, metrics_port=port) as server:
        client = await server.connect()
        for _ in range(COUNT):
            await client.ask(BY_POST)

        text = await scraped(port)

        assert server.runs == RUNS
    assert value(text, "operation_duration_seconds_count", operation="Names", outcome="ok") == COUNT


async def test_each_replay_is_counted_as_a_hit_with_its_size(
    upstream: FakeUpstream,
) -> None:
    port = free_port()
    async with gateway(upstream, metrics_port=port) as server:
        client = await server.connect()
        bodies = [(await client.ask(BY_POST))[1] for _ in range(COUNT)]

        text = await scraped(port)

        assert server.runs == RUNS
    assert value(text, "answers_total", source="hit") == COUNT - 1
    assert value(text, "response_bytes_total") == sum(len(body) for body in bodies)


async def test_each_replay_has_a_log_line_with_its_request_id(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gateway(upstream, log_level="info", log_format="json") as server:
        client = await server.connect()
        heads = [(await client.ask(BY_POST))[0] for _ in range(COUNT)]

        assert server.runs == RUNS
    told = [line["request_id"] for line in served_lines(capsys)]
    assert told == [header(head, "x-request-id") for head in heads]


async def test_the_log_line_of_a_replay_has_the_fields_of_any_hit(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gateway(upstream, log_level="info", log_format="json") as server:
        client = await server.connect()
        for _ in range(COUNT):
            await client.ask(BY_POST)

        assert server.runs == RUNS
    # What differs each time, and what is told of an operation only where there is one.
    left_out = {"time", "request_id", "seconds", "narrowed_images"}
    _, *hits = [
        {name: told for name, told in line.items() if name not in left_out} for line in served_lines(capsys)
    ]
    assert {"caller", "status", "saved_bytes"} <= hits[0].keys()
    assert hits == [hits[0]] * (COUNT - 1)


async def test_each_replay_has_a_span_below_that_of_its_client(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [f"{number:032x}" for number in range(1, COUNT + 1)]
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        async with gateway(upstream, traces=True) as server:
            client = await server.connect()

            for trace in traces:
                parent = f"traceparent: 00-{trace}-00f067aa0ba902b7-01"
                await client.ask(with_header(BY_POST, parent.encode()))

            assert server.runs == RUNS
    spans = receiver.spans(Span.SPAN_KIND_SERVER)
    assert [span.trace_id.hex() for span in spans] == traces
    assert {span.parent_span_id.hex() for span in spans} == {"00f067aa0ba902b7"}
