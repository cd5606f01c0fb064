"""Traces: a span for an operation and one for each of its upstream calls, in W3C's context, sent by OTLP.

Where they go, how many of them there are, and what else there is to choose stands in OpenTelemetry's own
environment variables (`OTEL_*`). Nothing of a document, a variable or a token is in them, and the fields of
an answer have no spans. This module needs the extra `traces`; it is imported only where traces are on.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from gallery_gateway.telemetry.records import CallRecord, Link, OperationRecord

_TEMPLATE = "/gallery/by-project"
_W3C = TraceContextTextMapPropagator()


class Traces:
    """Begins and ends spans.

    Args:
        upstream_url: told as the server of each call, without anything that a caller has asked for.
    """

    def __init__(self, provider: TracerProvider, *, upstream_url: str, version: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("gallery_gateway", version)
        server = urlsplit(upstream_url)
        self._call_attributes: dict[str, AttributeValue] = {
            "http.request.method": "GET",
            "url.template": _TEMPLATE,
            "url.scheme": server.scheme,
            "server.address": server.hostname or "",
            "server.port": server.port or (443 if server.scheme == "https" else 80),
        }

    def begin_operation(self, headers: Mapping[bytes, bytes]) -> Span:
        """The span of an operation, below that of the client if it has sent one."""
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        above = _W3C.extract(carrier, Context())
        return self._tracer.start_span("GraphQL Operation", above, SpanKind.SERVER)

    def end_operation(self, span: Span, record: OperationRecord, shared: Iterable[Link]) -> None:
        """Ends it with a link to each call of other operations that it has shared."""
        if span.is_recording():
            span.update_name(record.kind or "GraphQL Operation")
            span.set_attributes(_told_of_operation(record))
            for call in shared:
                if isinstance(call, SpanContext):
                    span.add_link(call)
            # A client's own mistake is no error of the server's span (HTTP semantic conventions).
            if record.status >= 500 or any(
                code.startswith(("UPSTREAM_", "INTERNAL_")) for code in record.codes
            ):
                _fail(span, record.codes[0] if record.codes else str(record.status))
        span.end()

    def begin_call(self, operation: Span | None) -> Span:
        above = Context() if operation is None else set_span_in_context(operation, Context())
        return self._tracer.start_span(
            f"GET {_TEMPLATE}", above, SpanKind.CLIENT, attributes=self._call_attributes
        )

    def end_call(self, span: Span, record: CallRecord) -> None:
        if record.status is not None:
            span.set_attribute("http.response.status_code", record.status)
        if record.bytes:
            span.set_attribute("gallery_gateway.bytes", record.bytes)
        if record.attempt > 1:
            span.set_attribute("http.request.resend_count", record.attempt - 1)
        if record.outcome not in {"ok", "unchanged"}:
            _fail(span, record.outcome)
        span.end()

    def headers_below(self, span: Span) -> dict[str, str]:
        """W3C's headers, by which the spans of whoever reads them come below this one."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        return carrier

    def trace_id_of(self, span: Span) -> str | None:
        """In hex; None if the trace is not sampled, so that nobody would find it."""
        context = span.get_span_context()
        return format_trace_id(context.trace_id) if context.trace_flags.sampled else None

    def close(self) -> None:
        """Sends what has not been sent, which takes as long as the receiver takes."""
        self._provider.shutdown()


def traces_from_environment(*, upstream_url: str, version: str) -> Traces:
    """Traces as the variables `OTEL_*` say it."""
    told = OTELResourceDetector().detect().attributes
    own = {"service.name": "gallery-gateway", "service.version": version}
    provider = TracerProvider(resource=Resource.create({**own, **told}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, upstream_url=upstream_url, version=version)


def _told_of_operation(record: OperationRecord) -> dict[str, AttributeValue]:
    told: dict[str, AttributeValue] = {
        "http.request.method": record.method,
        "http.response.status_code": record.status,
        "gallery_gateway.request_id": record.request_id,
        "gallery_gateway.outcome": record.outcome,
        "gallery_gateway.hits": record.hits,
        "gallery_gateway.stale": record.stale,
        "gallery_gateway.collapsed": record.collapsed,
        "gallery_gateway.merged": record.merged,
    }
    if record.kind:
        told["graphql.operation.type"] = record.kind
    if record.operation:
        told["graphql.operation.name"] = record.operation
    if record.codes:
        told["gallery_gateway.codes"] = record.codes
    return told


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
