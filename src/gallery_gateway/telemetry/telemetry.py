"""Passes finished operations and upstream calls on to logs, metrics and traces."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import Span

from gallery_gateway.telemetry.counters import MetricCounters
from gallery_gateway.telemetry.logs import EventLog, LoggedEvents
from gallery_gateway.telemetry.records import CallRecord, Link, OperationRecord

if TYPE_CHECKING:
    # Needs an extra that is missing where traces are off.
    from gallery_gateway.telemetry.traces import Traces


Observer = MetricCounters | EventLog | LoggedEvents


ReportedCall = tuple[bytes, CallRecord]
"""The target of an upstream call, and its record."""


class CurrentOperation(NamedTuple):
    """The operation of a task, and its span if it is traced.

    Args:
        calls: receives the upstream calls that end; `None` unless the response reports them.
    """

    record: OperationRecord
    span: Span | None
    calls: list[ReportedCall] | None = None


# A call runs in a task of its own, which inherits the context of its operation.
current_operation: ContextVar[CurrentOperation | None] = ContextVar("current_operation", default=None)


@dataclass(slots=True)
class Call:
    """An upstream call in progress.

    Args:
        record: the facts known so far.
        span: None if the call is not traced.
        headers: trace headers for the request.
        log_level: the level of its log line.
        reports: receives the call when it ends, if the response of its operation reports it.
    """

    record: CallRecord
    span: Span | None
    headers: Mapping[str, str]
    log_level: int = logging.INFO
    reports: list[ReportedCall] | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def link(self) -> Link | None:
        return self.span.get_span_context() if self.span else None


class Telemetry:
    """Records operations and upstream calls.

    Args:
        observers: receive each record, in this order.
        traces: None where traces are off.
    """

    def __init__(self, observers: Sequence[Observer], traces: "Traces | None" = None) -> None:
        self._observers = observers
        self._traces = traces

    def operation_began(self, record: OperationRecord, headers: Mapping[bytes, bytes]) -> None:
        """Begin an operation in the current task; `headers` are the client's, with names in lower case."""
        span = None
        if self._traces is not None:
            span = self._traces.begin_operation(headers)
            record.trace_id = self._traces.trace_id_of(span)
        current_operation.set(CurrentOperation(record, span))

    def operation_ended(self, record: OperationRecord, shared: Iterable[Link] = ()) -> None:
        """End the operation of the current task; `shared` are the calls of others that it waited for."""
        for observer in self._observers:
            observer.operation_ended(record)
        operation = current_operation.get()
        if self._traces is not None and operation is not None and operation.span is not None:
            self._traces.end_operation(operation.span, record, shared)

    def operation_replayed(self, record: OperationRecord, headers: Mapping[bytes, bytes]) -> None:
        """Record an operation that the server answered, without a task of its own."""
        span = self._traces.begin_operation(headers) if self._traces is not None else None
        if self._traces is not None and span is not None:
            record.trace_id = self._traces.trace_id_of(span)
        for observer in self._observers:
            observer.operation_ended(record)
        if self._traces is not None and span is not None:
            self._traces.end_operation(span, record, ())

    def call_began(self, *, attempt: int) -> Call:
        """Begin a call for the current task's operation; its outcome is `cancelled` until it is set."""
        record = CallRecord(outcome="cancelled", attempt=attempt)
        operation = current_operation.get()
        if operation is not None:
            record.request_id = operation.record.request_id
            record.caller = operation.record.caller
        reports = operation.calls if operation is not None else None
        if self._traces is None:
            return Call(record, None, {}, reports=reports)
        span = self._traces.begin_call(operation.span if operation else None)
        record.trace_id = self._traces.trace_id_of(span)
        return Call(record, span, self._traces.headers_below(span), reports=reports)

    def call_ended(self, call: Call, target: bytes) -> None:
        call.record.seconds = round(time.perf_counter() - call.started, 6)
        if call.reports is not None:
            call.reports.append((target, call.record))
        for observer in self._observers:
            observer.call_ended(call.record, log_level=call.log_level)
        if self._traces is not None and call.span is not None:
            self._traces.end_call(call.span, call.record)
