"""What a process takes of the machine, as Linux tells it; nothing where there is no /proc."""

from prometheus_client import ProcessCollector

from gallery_gateway.telemetry.snapshots import Snapshot, Values

_COUNTERS = frozenset({"process_cpu_seconds_total"})
_GAUGES = frozenset({"process_resident_memory_bytes", "process_open_fds"})


def read_process() -> Snapshot:
    samples = [sample for family in ProcessCollector(registry=None).collect() for sample in family.samples]
    counters: Values = {(sample.name, ()): sample.value for sample in samples if sample.name in _COUNTERS}
    gauges: Values = {(sample.name, ()): sample.value for sample in samples if sample.name in _GAUGES}
    return Snapshot(counters=counters, gauges=gauges)
