"""Traces: a span for each operation and each upstream call, with W3C trace context, sent by OTLP.

OpenTelemetry's own environment variables (`OTEL_*`) configure the receiver and the sampling. A span holds
nothing of a document, a variable or a token, and fields have no spans. This module needs the extra `traces`,
and is imported only where traces are on.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from gallery_gateway.telemetry.records import CallRecord, Link, OperationRecord

_TEMPLATE = "/gallery/by-project"
_W3C = TraceContextTextMapPropagator()


class Traces:
    """Begins and ends spans.

    Args:
        upstream_url: gives the server's address in the spans of calls.
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
        """Return a new span, the child of the client's span if `headers` name one."""
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        parent = _W3C.extract(carrier, Context())
        return self._tracer.start_span("GraphQL Operation", parent, SpanKind.SERVER)

    def end_operation(self, span: Span, record: OperationRecord, shared: Iterable[Link]) -> None:
        """End the span, with a link to each call of other operations in `shared`."""
        if span.is_recording():
            span.update_name(record.kind or "GraphQL Operation")
            span.set_attributes(_attributes_of(record))
            for call in shared:
                span.add_link(call)
            # A mistake of the client is no error of the server's span (HTTP semantic conventions).
            if record.status >= 500 or any(
                code.startswith(("UPSTREAM_", "INTERNAL_")) for code in record.codes
            ):
                _fail(span, record.codes[0] if record.codes else str(record.status))
        span.end()

    def begin_call(self, operation: Span | None) -> Span:
        parent = Context() if operation is None else set_span_in_context(operation, Context())
        return self._tracer.start_span(
            f"GET {_TEMPLATE}", parent, SpanKind.CLIENT, attributes=self._call_attributes
        )

    def end_call(self, span: Span, record: CallRecord) -> None:
        if record.status is not None:
            span.set_attribute("http.response.status_code", record.status)
        if record.bytes:
            span.set_attribute("gallery_gateway.bytes", record.bytes)
        if resends := record.attempt - 1 + record.resent:
            span.set_attribute("http.request.resend_count", resends)
        if record.outcome not in {"ok", "unchanged"}:
            _fail(span, record.outcome)
        span.end()

    def headers_below(self, span: Span) -> dict[str, str]:
        """Return the W3C headers that make spans of the receiver children of this one."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        return carrier

    def trace_id_of(self, span: Span) -> str | None:
        """Return the trace id in hex, or None if the trace is not sampled and cannot be found."""
        context = span.get_span_context()
        return format_trace_id(context.trace_id) if context.trace_flags.sampled else None

    def close(self) -> None:
        """Send the remaining spans; blocks until the receiver has answered."""
        self._provider.shutdown()


def traces_from_environment(*, upstream_url: str, version: str) -> Traces:
    """Return traces that are configured by the variables `OTEL_*`."""
    configured = OTELResourceDetector().detect().attributes
    defaults = {"service.name": "gallery-gateway", "service.version": version}
    provider = TracerProvider(resource=Resource.create({**defaults, **configured}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, upstream_url=upstream_url, version=version)


def _attributes_of(record: OperationRecord) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
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
        attributes["graphql.operation.type"] = record.kind
    if record.operation:
        attributes["graphql.operation.name"] = record.operation
    if record.codes:
        attributes["gallery_gateway.codes"] = record.codes
    return attributes


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
