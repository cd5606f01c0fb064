"""Records an operation for telemetry: how it was answered, or why it was not."""

import time
from collections.abc import Sequence

from gallery_gateway.edge.replay import ReplayRecord
from gallery_gateway.edge.request import Exchange
from gallery_gateway.execution.executor import GraphQLResponse
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.usage import OperationUsage
from gallery_gateway.telemetry.records import Link, OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry

_QUERY = "query"


class NullRecorder:
    """One that nobody wants to hear; the methods stand in the order in which they are called."""

    __slots__ = ()

    @property
    def served(self) -> ReplayRecord | None:
        """What is to be told when the same answer is given again."""
        return None

    def asked_by(self, caller: Caller | None) -> None:
        """To be said before anything is run: the calls of the operation are told with it."""

    def repeated(self, served: ReplayRecord | None) -> None: ...

    def answered(self, answer: GraphQLResponse, usage: OperationUsage) -> None: ...

    def failed(self, outcome: str, *codes: str) -> None: ...

    def unsent(self) -> None:
        """Record that the answer was ready, but could not be sent whole."""

    def end(self, *, status: int = 0, size_bytes: int = 0) -> None:
        """Tells it; nothing if there was no operation, but a page for browsers or the like."""


SILENCE = NullRecorder()


class OperationRecorder(NullRecorder):
    """Opened where an operation begins, in the task that runs it, and told when it has ended."""

    __slots__ = ("_record", "_shared", "_started", "_telemetry")

    def __init__(self, telemetry: Telemetry, exchange: Exchange) -> None:
        self._started = time.perf_counter()
        self._telemetry = telemetry
        self._record = OperationRecord(request_id=exchange.identifier.decode(), method=exchange.method)
        self._shared: Sequence[Link] = ()
        telemetry.operation_began(self._record, exchange.headers)

    @property
    def served(self) -> ReplayRecord:
        return ReplayRecord(self._record)

    def asked_by(self, caller: Caller | None) -> None:
        if caller is not None:
            self._record.caller = caller.fingerprint

    def repeated(self, served: ReplayRecord | None) -> None:
        if served is not None:
            served.fill(self._record)

    def answered(self, answer: GraphQLResponse, usage: OperationUsage) -> None:
        record = self._record
        record.codes = answer.codes
        if answer.is_request_error:
            record.outcome = "refused"
            return
        record.outcome = "error" if answer.has_errors else "ok"
        record.operation = answer.operation
        record.kind = _QUERY
        record.executor = answer.executor
        figures = usage.figures()
        record.calls = figures.calls
        record.hits = figures.hits
        record.shared = figures.shared
        record.stale = figures.stale
        record.collapsed = figures.collapsed
        record.merged = figures.merged
        record.saved_bytes = figures.saved_bytes
        record.narrowed_images = usage.spared_images
        self._shared = usage.shared_calls

    def failed(self, outcome: str, *codes: str) -> None:
        self._record.outcome = outcome
        self._record.codes = codes

    def unsent(self) -> None:
        if self._record.outcome:
            self._record.outcome = "cancelled"

    def end(self, *, status: int = 0, size_bytes: int = 0) -> None:
        record = self._record
        if record.outcome:
            record.status = status
            record.bytes = size_bytes
            record.seconds = round(time.perf_counter() - self._started, 6)
            self._telemetry.operation_ended(record, self._shared)
