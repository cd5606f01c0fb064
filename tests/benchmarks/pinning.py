"""CPU time, memory and CPU affinity of processes, on Linux."""

import os
import time
from pathlib import Path

# linux/posix-timers.h.
_CPUCLOCK_SCHED = 2


class Cores:
    """The first core for the server under test, and all others for the programs around it."""

    def __init__(self) -> None:
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.server = set(allowed[:1]) if len(allowed) > 1 else set()
        self.others = set(allowed[1:])

    @property
    def description(self) -> str:
        if not self.server:
            return "not pinned"
        return f"the server pinned to core {_listed(self.server)}, all else to {_listed(self.others)}"

    def pin(self, process_id: int, cores: set[int]) -> None:
        if cores and self.server:
            os.sched_setaffinity(process_id, cores)


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of all threads of another process, in user and kernel mode.

    The sum of `utime` and `stime` in /proc/PID/stat, which count in steps of 10 ms, to the nanosecond.
    """
    # clock_getcpuclockid(3), which Python has for threads only: the complement of the id, and the kind.
    return time.clock_gettime((~process_id << 3) | _CPUCLOCK_SCHED)


def rss_bytes(process_id: int) -> int:
    """Return the resident memory."""
    pages = Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _listed(cores: set[int]) -> str:
    return ", ".join(str(core) for core in sorted(cores))
