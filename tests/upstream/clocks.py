"""A clock that is stepped by hand."""

from dataclasses import dataclass


@dataclass
class Seconds:
    """Called for the time, as `time.monotonic` is."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float) -> None:
        self.now += seconds
