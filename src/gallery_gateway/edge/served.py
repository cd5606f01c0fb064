"""Telemetry fields copied to the record of a repeated answer."""

from gallery_gateway.telemetry.records import COMPILED, OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry


class Served:
    """What the record of an operation and those of its repeats have in common."""

    __slots__ = ("caller", "operation", "saved_bytes")

    def __init__(self, record: OperationRecord) -> None:
        self.caller = record.caller
        self.operation = record.operation
        self.saved_bytes = record.saved_bytes

    def fill(self, record: OperationRecord) -> None:
        """Fill the record of a repeat, except for what is known only at its end.

        The executor is `compiled`, since only what a plan has written is kept.
        """
        record.caller = self.caller
        record.operation = self.operation
        record.kind = "query"
        record.outcome = "ok"
        record.executor = COMPILED
        record.hits = 1
        record.saved_bytes = self.saved_bytes


def tell_again(
    telemetry: Telemetry, served: Served, *, request_id: str, method: str, size_bytes: int, seconds: float
) -> None:
    """Tells a repeat that was answered at once, without an account and outside of any trace."""
    record = OperationRecord(request_id=request_id, method=method)
    served.fill(record)
    record.status = 200
    record.bytes = size_bytes
    record.seconds = round(seconds, 6)
    telemetry.operation_ended(record)
