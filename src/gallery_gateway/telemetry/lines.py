"""Lines on their way out: a thread writes them, so that a reader that stalls does not stall the gateway."""

import threading
import time
from collections import deque
from typing import TextIO

# Lines wait for each other so long: a call of the system costs more than the line.
_GATHERING_SECONDS = 0.05

# What waits for a reader that has stalled; a line has some 300 bytes.
_MAX_WAITING = 20_000

# How long an end waits for such a reader.
_LAST_PATIENCE_SECONDS = 2.0


class LineWriter:
    """Takes lines at the cost of an append, from any thread, and writes them in their order.

    `dropped` counts the lines that were thrown away because nobody read those before them.
    """

    def __init__(self, stream: TextIO, *, max_waiting: int = _MAX_WAITING) -> None:
        self.stream = stream
        self.dropped = 0
        self._max_waiting = max_waiting
        self._waiting: deque[bytes] = deque()
        self._is_awake = self._is_closed = False
        self._wake = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log-lines", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Takes one line, its newline included."""
        if len(self._waiting) >= self._max_waiting:
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()

    def flush(self) -> None:
        """Waits until all that was taken is written, but not for ever for a reader that has stalled."""
        if self._writing.acquire(timeout=_LAST_PATIENCE_SECONDS):
            try:
                self._write_waiting()
            finally:
                self._writing.release()

    def close(self) -> None:
        self._is_closed = True
        self._wake.set()
        self.flush()

    def _run(self) -> None:
        while not self._is_closed:
            self._wake.wait()
            self._wake.clear()
            time.sleep(0.0 if self._is_closed else _GATHERING_SECONDS)
            # Before the lines are taken: whoever adds one from here on wakes the thread again.
            self._is_awake = False
            with self._writing:
                self._write_waiting()

    def _write_waiting(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            self.stream.write(b"".join(lines).decode(errors="backslashreplace"))
            self.stream.flush()
        # A stream that is closed, or a full disk: there is nowhere left to say so.
        except (OSError, ValueError):
            self.dropped += len(lines)
