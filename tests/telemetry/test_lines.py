"""Lines on their way out, and a reader that does not read."""

import io
import os
import threading

from gallery_gateway.telemetry.logs import LineWriter


def test_lines_come_out_in_their_order_whichever_thread_they_came_from() -> None:
    stream = io.StringIO()
    lines = LineWriter(stream)

    def write(name: str) -> None:
        for number in range(500):
            lines.write(f"{name} {number}\n".encode())

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.flush()

    told = stream.getvalue().splitlines()
    for name in "ab":
        assert [line for line in told if line[0] == name] == [f"{name} {number}" for number in range(500)]


def test_lines_are_written_without_being_asked_for() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        lines = LineWriter(stream)

        for text in (b"first\n", b"second\n"):
            lines.write(text)
            assert reader.readline().encode() == text
        lines.close()


def test_a_reader_that_stalls_holds_up_nobody_and_costs_lines() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        lines = LineWriter(stream, max_waiting=1000)

        # Far more than a pipe holds: whoever wrote them himself would wait here for ever.
        for _ in range(3000):
            lines.write(b"x" * 999 + b"\n")
        dropped = lines.dropped
        closing = threading.Thread(target=lines.close)
        closing.start()
        told = [reader.readline() for _ in range(3000 - dropped)]
        closing.join()

    assert 0 < dropped < 3000
    assert set(told) == {"x" * 999 + "\n"}


def test_a_stream_that_was_closed_costs_lines_and_nothing_else() -> None:
    stream = io.StringIO()
    lines = LineWriter(stream)
    stream.close()

    lines.write(b"x\n")
    lines.flush()

    assert lines.dropped == 1
