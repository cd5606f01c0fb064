"""Several processes behind one `/metrics`: their parent asks each of them when it is scraped.

prometheus-client's own way is a folder of memory-mapped files. This one needs no folder, which a read-only
container would lack, costs nothing between scrapes, keeps exemplars, and sees at once that a worker is gone.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection, Listener
from typing import cast

import msgspec

from gallery_gateway.telemetry.counters import Snapshot, join

GATHERER_VARIABLE = "GALLERY_GATEWAY_METRICS_GATHERER"
"""The environment variable by which workers learn of their parent's port; set by the gateway itself."""

_PATIENCE_SECONDS = 1.0

_LOOPBACK = "127.0.0.1"
_GREETING = b"!"
_QUESTION = b"?"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class Gatherer:
    """The parent's side: both prove to each other that they know the key that children inherit.

    Args:
        timeouts_seconds: what all workers together may take to answer. They do so beside their event loops,
            so it is time for the interpreter only.
    """

    def __init__(self, *, timeouts_seconds: float = _PATIENCE_SECONDS) -> None:
        self._timeouts_seconds = timeouts_seconds
        self._listener = Listener((_LOOPBACK, 0), authkey=_key())
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._ended = Snapshot()
        threading.Thread(target=self._accept, name="metrics-gatherer", daemon=True).start()

    @property
    def port(self) -> int:
        return int(cast("tuple[str, int]", self._listener.address)[1])

    def read(self) -> Snapshot:
        """The figures of all workers, with what those that have ended had counted."""
        with self._lock:
            self._each(lambda worker: worker.ask())
            deadline = time.monotonic() + self._timeouts_seconds
            self._each(lambda worker: worker.take(max(0.0, deadline - time.monotonic())))
            return join([self._ended, *(worker.latest for worker in self._workers)])

    def _accept(self) -> None:
        while True:
            # Whoever does not know the key, or hangs up at once, is no worker.
            with suppress(OSError, EOFError, AuthenticationError):
                worker = _Worker(self._listener.accept())
                with self._lock:
                    worker.greet()
                    self._workers.append(worker)

    def _each(self, step: Callable[["_Worker"], None]) -> None:
        for worker in list(self._workers):
            try:
                step(worker)
            except (OSError, EOFError):
                self._workers.remove(worker)
                self._ended = join([self._ended, worker.latest.lasting()])


class _Worker:
    """A worker that is connected, and the last that it told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.latest = Snapshot()

    def greet(self) -> None:
        self._connection.send_bytes(_GREETING)

    def ask(self) -> None:
        # What came too late for the last scrape, or at the worker's end.
        self.take(0.0)
        self._connection.send_bytes(_QUESTION)

    def take(self, seconds: float) -> None:
        """Waits so long for an answer; without one, the last one stands."""
        while self._connection.poll(seconds):
            self.latest = _decode(self._connection.recv_bytes())
            seconds = 0.0


@contextmanager
def gathered(read: Callable[[], Snapshot], *, port: int) -> Iterator[None]:
    """The worker's side: answers the gatherer until the block ends, and then tells it the last.

    Raises:
        OSError: there is no gatherer, or it does not know the key.
    """
    connection = Client((_LOOPBACK, port), authkey=_key())
    # From here on the next scrape will ask.
    connection.recv_bytes()
    thread = threading.Thread(target=_answer, args=(connection, read), name="metrics-worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        # No more questions: the thread, which waits for one, goes on to the last answer.
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as plain:
            plain.shutdown(socket.SHUT_RD)
        thread.join()


def _answer(connection: Connection, read: Callable[[], Snapshot]) -> None:
    with suppress(OSError), connection:
        with suppress(EOFError):
            while True:
                connection.recv_bytes()
                connection.send_bytes(_encode(read()))
        connection.send_bytes(_encode(read()))


def _key() -> bytes:
    return bytes(current_process().authkey)
