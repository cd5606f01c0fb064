"""What the rooms tell of operations and calls, handed on to whoever listens: logs, metrics and traces."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gallery_gateway.telemetry.records import CallRecord, Link, OperationRecord

if TYPE_CHECKING:
    # Needs an extra that is not there where traces are off.
    from opentelemetry.trace import Span

    from gallery_gateway.telemetry.traces import Traces


class Observer(Protocol):
    """Whoever wants to know what has ended."""

    def operation_ended(self, record: OperationRecord) -> None: ...

    def call_ended(self, record: CallRecord, *, log_level: int) -> None: ...


@dataclass(slots=True)
class _UnderWay:
    """An operation that has not ended, with its span if it is traced."""

    record: OperationRecord
    span: "Span | None"


# A call is made in a task of its own, which begins with the context of the operation that it is made for.
_under_way: ContextVar[_UnderWay | None] = ContextVar("operation_under_way", default=None)


class Call:
    """An upstream call under way, and what is known of it so far.

    Args:
        headers: to be sent with it, so that the endpoint's spans come below its own.
        link: by which other operations refer to it; None if it is not traced.
        log_level: of its log line.
    """

    __slots__ = ("headers", "link", "log_level", "record", "span", "started")

    def __init__(self, record: CallRecord, span: "Span | None", headers: Mapping[str, str]) -> None:
        self.record = record
        self.span = span
        self.headers = headers
        self.link: Link | None = span.get_span_context() if span else None
        self.log_level = logging.INFO
        self.started = time.perf_counter()


class Telemetry:
    """Made once; its observers are told in their order."""

    def __init__(self, observers: Sequence[Observer], traces: "Traces | None" = None) -> None:
        self._observers = observers
        self._traces = traces

    @property
    def is_tracing(self) -> bool:
        return self._traces is not None

    def operation_began(self, record: OperationRecord, headers: Mapping[bytes, bytes]) -> None:
        """To be told in the task that runs the operation; `headers` are the client's, in lower case."""
        span = None
        if self._traces is not None:
            span = self._traces.begin_operation(headers)
            record.trace_id = self._traces.trace_id_of(span)
        _under_way.set(_UnderWay(record, span))

    def operation_ended(self, record: OperationRecord, shared: Iterable[Link] = ()) -> None:
        """To be told in the same task; `shared` are the calls of other operations that it waited for."""
        for observer in self._observers:
            observer.operation_ended(record)
        under_way = _under_way.get()
        if self._traces is not None and under_way is not None and under_way.span is not None:
            self._traces.end_operation(under_way.span, record, shared)

    def call_began(self, *, attempt: int) -> Call:
        """To be told in the task that makes the call, whose outcome is `cancelled` until another is known."""
        record = CallRecord(outcome="cancelled", attempt=attempt)
        under_way = _under_way.get()
        if under_way is not None:
            record.request_id = under_way.record.request_id
            record.caller = under_way.record.caller
        if self._traces is None:
            return Call(record, None, {})
        span = self._traces.begin_call(under_way.span if under_way else None)
        record.trace_id = self._traces.trace_id_of(span)
        return Call(record, span, self._traces.headers_below(span))

    def call_ended(self, call: Call) -> None:
        call.record.seconds = round(time.perf_counter() - call.started, 6)
        for observer in self._observers:
            observer.call_ended(call.record, log_level=call.log_level)
        if self._traces is not None and call.span is not None:
            self._traces.end_call(call.span, call.record)
