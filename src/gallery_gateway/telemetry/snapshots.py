"""The figures of a process at one moment, and those of several processes joined into one."""

from collections.abc import Iterable

import msgspec

Series = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels, in the order of its declaration."""

Values = dict[Series, float]


class Buckets(msgspec.Struct):
    """A histogram: how many values there were up to each bound, and beyond the last.

    Args:
        exemplars: by bucket, the last traced value: its trace id, itself, and when it was (seconds
            since 1970).
    """

    bounds: list[float]
    counts: list[int]
    total: float
    exemplars: dict[int, tuple[str, float, float]]

    def joined(self, other: "Buckets") -> "Buckets":
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Buckets(self.bounds, counts, self.total + other.total, self.exemplars | other.exemplars)


class Snapshot(msgspec.Struct):
    """All figures of one process.

    Args:
        counters: what only grows; it counts on when its process has ended.
        gauges: what stands at its value only while its process lives.
    """

    counters: Values = {}
    histograms: dict[Series, Buckets] = {}
    gauges: Values = {}

    def lasting(self) -> "Snapshot":
        """What is left of it when its process has ended."""
        return Snapshot(self.counters, self.histograms)


def join(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of them all."""
    whole = Snapshot()
    for snapshot in snapshots:
        _add(whole.counters, snapshot.counters)
        _add(whole.gauges, snapshot.gauges)
        for series, buckets in snapshot.histograms.items():
            known = whole.histograms.get(series)
            whole.histograms[series] = known.joined(buckets) if known else buckets
    return whole


def _add(whole: Values, part: Values) -> None:
    for series, value in part.items():
        whole[series] = whole.get(series, 0.0) + value
