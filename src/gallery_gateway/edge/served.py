"""What is told of an answer whenever it is given again."""

from gallery_gateway.telemetry.records import OperationRecord
from gallery_gateway.telemetry.telemetry import Telemetry


class Served:
    """What is told of an answer each time that it is given again."""

    __slots__ = ("caller", "operation", "saved_bytes")

    def __init__(self, record: OperationRecord) -> None:
        self.caller = record.caller
        self.operation = record.operation
        self.saved_bytes = record.saved_bytes


def tell_again(
    telemetry: Telemetry, served: Served, *, request_id: str, method: str, size_bytes: int, seconds: float
) -> None:
    """Tells an answer that was given again at once, without an account and outside of any trace."""
    record = OperationRecord(request_id=request_id, method=method)
    fill(record, served)
    record.status = 200
    record.bytes = size_bytes
    record.seconds = round(seconds, 6)
    telemetry.operation_ended(record)


def fill(record: OperationRecord, served: Served) -> None:
    record.caller = served.caller
    record.operation = served.operation
    record.kind = "query"
    record.outcome = "ok"
    record.hits = 1
    record.saved_bytes = served.saved_bytes
