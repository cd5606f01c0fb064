"""Values counted by size."""

import time
from bisect import bisect_left

from gallery_gateway.telemetry.snapshots import Buckets

# In seconds: a hot answer takes a tenth of a millisecond, and a call of the endpoint up to half a minute.
DURATION_BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """How many values fell into each bucket, with the last traced one of each.

    Args:
        bounds: the largest value of each bucket but the last, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_exemplars", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._exemplars: dict[int, tuple[str, float, float]] = {}

    def observe(self, value: float, trace_id: str | None = None) -> None:
        bucket = bisect_left(self._bounds, value)
        self._counts[bucket] += 1
        self._total += value
        if trace_id is not None:
            self._exemplars[bucket] = trace_id, value, time.time()

    def buckets(self) -> Buckets:
        return Buckets(list(self._bounds), self._counts[:], self._total, dict(self._exemplars))
