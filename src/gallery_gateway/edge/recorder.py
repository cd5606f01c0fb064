"""Records one HTTP request for telemetry: how it was answered, or why it failed."""

import time
from collections.abc import Sequence

from gallery_gateway.edge.request import HTTPRequest
from gallery_gateway.execution.executor import GraphQLResponse
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.usage import OperationUsage, UsageCounts
from gallery_gateway.telemetry.records import QUERY, Link, OperationRecord
from gallery_gateway.telemetry.telemetry import (
    CurrentOperation,
    ReportedCall,
    Telemetry,
    current_operation,
)


class OperationRecorder:
    """Begins with a request, in the task that runs the operation, and ends with its response.

    The methods stand in the order in which they are called.

    Args:
        telemetry: receives the record; None if telemetry is off.
    """

    __slots__ = ("_shared_calls", "_started", "_telemetry", "record")

    def __init__(self, telemetry: Telemetry | None, request: HTTPRequest) -> None:
        self._started = time.perf_counter()
        self._telemetry = telemetry
        self.record = OperationRecord(request_id=request.id.decode(), method=request.method)
        self._shared_calls: Sequence[Link] = ()
        if telemetry is None:
            # Upstream calls carry its request ID.
            current_operation.set(CurrentOperation(self.record, None))
        else:
            telemetry.operation_began(self.record, request.headers)

    def record_caller(self, caller: Caller | None) -> None:
        """Record the caller before the operation runs: its upstream calls copy the caller."""
        if caller is not None:
            self.record.caller = caller.fingerprint

    def collect_calls(self) -> list[ReportedCall]:
        """Return a list that receives the upstream calls of the operation as they end."""
        calls: list[ReportedCall] = []
        operation = current_operation.get()
        if operation is not None:
            current_operation.set(operation._replace(calls=calls))
        return calls

    def record_response(self, response: GraphQLResponse, usage: OperationUsage) -> None:
        record = self.record
        record.codes = response.codes
        if response.is_request_error:
            record.outcome = "refused"
            return
        record.outcome = "error" if response.has_errors else "ok"
        record.operation = response.operation
        record.kind = record.kind or QUERY
        record.executor = response.executor
        if self._telemetry is None:
            return
        counts = usage.counts()
        # A record has the counts under the same names.
        for name in UsageCounts.__slots__:
            setattr(record, name, getattr(counts, name))
        record.narrowed_images = usage.spared_images
        self._shared_calls = usage.shared_calls

    def record_failure(self, outcome: str, *codes: str) -> None:
        self.record.outcome = outcome
        self.record.codes = codes

    def record_disconnect(self) -> None:
        """Record that the response was ready but not sent completely."""
        if self.record.outcome:
            self.record.outcome = "cancelled"

    def end(self, *, status: int = 0, size_bytes: int = 0) -> None:
        """Hand the record over, unless the request was not for an operation (a page, a preflight request)."""
        record = self.record
        if self._telemetry is not None and record.outcome:
            record.status = status
            record.bytes = size_bytes
            record.seconds = round(time.perf_counter() - self._started, 6)
            self._telemetry.operation_ended(record, self._shared_calls)
