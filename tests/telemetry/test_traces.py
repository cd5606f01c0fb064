"""Traces, as a receiver gets them over OTLP."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gallery_gateway.upstream.resilience import ResilienceRules
from gallery_gateway.upstream.retries import RetryRules
from tests.fakes import TOKEN, FakeUpstream, gateway, page_body
from tests.telemetry.receiver import Receiver, attributes, receiving
from tests.telemetry.recording import samples
from tests.telemetry.scraping import free_port, scraped
from tests.upstream.sockets import http_response, serving

FAST_RETRIES = ResilienceRules(retries=RetryRules(first_wait_seconds=0.01))

DASHBOARD = "query Dashboard { gallery { pagination { total } } }"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
SERVER, CLIENT = Span.SpanKind.SPAN_KIND_SERVER, Span.SpanKind.SPAN_KIND_CLIENT


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


async def test_an_operation_and_its_call_are_spans_below_the_clients(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    async with gateway(upstream, traces=True, upstream_url="https://gallery.example:8443/api") as client:
        headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "x-request-id": "mine"}
        await client.post(DASHBOARD, headers=headers)

    (operation,), (call,) = receiver.spans(SERVER), receiver.spans(CLIENT)
    assert (operation.name, call.name) == ("query", "GET /gallery/by-project")
    assert operation.trace_id.hex() == call.trace_id.hex() == TRACE_ID
    assert operation.parent_span_id.hex() == SPAN_ID
    assert call.parent_span_id == operation.span_id
    assert operation.start_time_unix_nano < call.start_time_unix_nano
    assert call.end_time_unix_nano < operation.end_time_unix_nano
    assert attributes(operation) == {
        "graphql.operation.type": "query",
        "graphql.operation.name": "Dashboard",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "gallery_gateway.request_id": "mine",
        "gallery_gateway.outcome": "ok",
        "gallery_gateway.hits": 0,
        "gallery_gateway.stale": 0,
        "gallery_gateway.collapsed": 0,
        "gallery_gateway.merged": 0,
    }
    assert attributes(call) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.template": "/gallery/by-project",
        "url.scheme": "https",
        "server.address": "gallery.example",
        "server.port": 8443,
        "gallery_gateway.bytes": len(httpx.Response(200, json=page_body()).content),
    }


async def test_the_endpoint_is_told_the_span_of_its_call(receiver: Receiver, upstream: FakeUpstream) -> None:
    async with gateway(upstream, traces=True) as client:
        headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "vendor=1"}
        await client.post(DASHBOARD, headers=headers)

    (call,) = receiver.spans(CLIENT)
    sent = upstream.requests[0].headers
    assert sent["traceparent"] == f"00-{TRACE_ID}-{call.span_id.hex()}-01"
    assert sent["tracestate"] == "vendor=1"


async def test_an_operation_that_shared_a_call_has_a_link_to_it(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(_request: httpx.Request) -> httpx.Response:
        is_asked.set()
        await may_answer.wait()
        return httpx.Response(200, json=page_body())

    upstream.handler = answer
    async with gateway(upstream, traces=True) as client:
        first = asyncio.create_task(client.post(DASHBOARD, headers={"x-request-id": "first"}))
        await is_asked.wait()
        second = asyncio.create_task(client.post(DASHBOARD, headers={"x-request-id": "second"}))
        # The second one waits for the call of the first by the time that everything else has been done.
        for _ in range(100):
            await asyncio.sleep(0)
        may_answer.set()
        await asyncio.gather(first, second)

    (call,) = receiver.spans(CLIENT)
    operations = {attributes(s)["gallery_gateway.request_id"]: s for s in receiver.spans(SERVER)}
    assert attributes(operations["second"])["gallery_gateway.collapsed"] == 1
    assert [(link.trace_id, link.span_id) for link in operations["second"].links] == [
        (call.trace_id, call.span_id)
    ]
    assert not operations["first"].links
    assert operations["first"].trace_id != operations["second"].trace_id


async def test_a_request_that_is_sent_twice_is_one_span_that_says_so(receiver: Receiver) -> None:
    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if len(server.heads) == 2:
            writer.close()
        else:
            writer.write(http_response(json.dumps(page_body()).encode()))

    async with serving(respond) as server, gateway(None, traces=True, upstream_url=server.url) as client:
        for size in (1, 2):
            await client.ask(f"{{ gallery(perPage: {size}) {{ pagination {{ total }} }} }}")

    calls = receiver.spans(CLIENT)
    assert [attributes(call).get("http.request.resend_count") for call in calls] == [None, 1]


async def test_each_retry_is_a_span_and_what_failed_says_so(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    upstream.answer(503)

    async with gateway(upstream, traces=True, upstream_max_attempts=2, rules=FAST_RETRIES) as client:
        await client.ask(DASHBOARD)

    (operation,), calls = receiver.spans(SERVER), receiver.spans(CLIENT)
    assert [attributes(call).get("http.request.resend_count") for call in calls] == [None, 1]
    for span in (operation, *calls):
        assert span.status.code == Status.StatusCode.STATUS_CODE_ERROR
        assert span.status.message == ""
        assert attributes(span)["error.type"] == "UPSTREAM_UNAVAILABLE"
    sent = [request.headers["traceparent"].split("-")[2] for request in upstream.requests]
    assert sent[-1] == calls[-1].span_id.hex()


async def test_a_mistake_of_the_client_is_no_error_of_the_span(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    async with gateway(upstream, traces=True) as client:
        await client.ask("{ nothing }")

    (operation,) = receiver.spans()
    assert operation.name == "GraphQL Operation"
    assert operation.status.code == Status.StatusCode.STATUS_CODE_UNSET
    assert attributes(operation)["gallery_gateway.codes"] == ["GRAPHQL_VALIDATION_FAILED"]


async def test_an_answer_given_again_is_a_span_too(receiver: Receiver, upstream: FakeUpstream) -> None:
    async with gateway(upstream, traces=True) as client:
        for _ in range(5):
            await client.ask(DASHBOARD)

    assert len(receiver.spans(CLIENT)) == 1
    hits = [attributes(span)["gallery_gateway.hits"] for span in receiver.spans(SERVER)]
    assert hits == [0, 1, 1, 1, 1]


async def test_a_trace_that_is_not_sampled_is_not_sent_and_no_exemplar(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    port = free_port()

    async with gateway(upstream, traces=True, metrics_port=port) as client:
        await client.post(DASHBOARD, headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
        text = await scraped(port)

    assert receiver.spans() == []
    assert upstream.requests[0].headers["traceparent"].endswith("-00")
    assert not [sample for sample in samples(text) if sample.exemplar]


async def test_a_traced_operation_is_an_exemplar_of_the_metrics(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    port = free_port()

    async with gateway(upstream, traces=True, metrics_port=port) as client:
        await client.post(DASHBOARD)
        text = await scraped(port)

    traced = {sample.exemplar.labels["trace_id"] for sample in samples(text) if sample.exemplar}
    assert traced == {span.trace_id.hex() for span in receiver.spans(SERVER)}


async def test_nothing_of_a_document_or_a_token_is_in_a_trace(
    receiver: Receiver, upstream: FakeUpstream
) -> None:
    async with gateway(upstream, traces=True) as client:
        await client.ask(
            "query ($w: String) { gallery(search: $w, projectId: 7391) { __typename } }", {"w": "word"}
        )
        await client.http.get(
            "/graphql?query={gallery(search:%22word%22){__typename}}",
            headers={"authorization": f"Bearer {TOKEN}"},
        )

    sent = b"".join(receiver.raw)
    assert receiver.spans(CLIENT)
    assert [
        secret for secret in (TOKEN.encode(), b"word", b"7391", b"gallery(", b"typename") if secret in sent
    ] == []


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "gallery-gateway"),
        ({"OTEL_SERVICE_NAME": "ours"}, "ours"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=ours,team=graph"}, "ours"),
    ],
)
async def test_the_service_is_named_by_us_unless_the_environment_says_otherwise(
    receiver: Receiver,
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    name: str,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)

    async with gateway(upstream, traces=True) as client:
        await client.ask(DASHBOARD)

    assert receiver.resource["service.name"] == name


async def test_traces_can_be_sampled_by_the_environment(
    receiver: Receiver, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

    async with gateway(upstream, traces=True) as client:
        await client.post(DASHBOARD, headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"})

    assert receiver.spans() == []


async def test_without_traces_the_endpoint_is_sent_no_context(upstream: FakeUpstream) -> None:
    async with gateway(upstream) as client:
        await client.post(DASHBOARD, headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"})

    assert not {"traceparent", "tracestate"} & set(upstream.requests[0].headers)


def test_without_traces_nothing_of_the_sdk_is_imported() -> None:
    program = """
import sys
from gallery_gateway.app import create_app
from gallery_gateway.settings import Settings
create_app(Settings.read(_env_file=None))
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603

    assert ended.stdout == "[]\n"
