"""The streams: what open subscriptions cost while nothing changes, and how fast they end."""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass

from tests.benchmarks.load import cpu_seconds
from tests.benchmarks.servers import ROOT, BenchmarkError, Server, Stage, rss_bytes
from tests.benchmarks.upstream import PENDING_PATH

_PER_CALLER = 20
_DOCUMENT = "subscription { gallery { projects { projectId completedImages pendingImages } } }"
_COMPLETE = b"event: complete\ndata:\n\n\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """What the streams of one gateway cost.

    Args:
        bytes_each: by which the process has grown, for each stream.
        cpu_share: of one core, from the first events until the end.
        end_seconds: from SIGTERM until every stream is complete.
    """

    bytes_each: float
    cpu_share: float
    end_seconds: float


async def table(stage: Stage, *, streams: int, seconds: float) -> str:
    """Return the costs with images that are pending, and with images that are done.

    Args:
        streams: their number, in groups of 20 for each caller.
        seconds: of the measurement of CPU time. An answer without pending images is followed for a minute.
    """
    rows = [f"| {streams:,} streams | KB each | CPU | all complete after |", "|---|---:|---:|---:|"]
    async with stage.upstream() as upstream:
        for images, path in (("pending", PENDING_PATH), ("done", "")):
            async with stage.gateway(ROOT, upstream.url + path, {"KEEP_ALIVE_SECONDS": "600"}) as server:
                cost = await _measure(server, streams=streams, seconds=seconds)
            kilobytes, share = cost.bytes_each / 1000, 100 * cost.cpu_share
            rows.append(f"| images {images} | {kilobytes:.1f} | {share:.1f}% | {cost.end_seconds:.2f} s |")
    return "\n".join([*rows, ""])


async def _measure(server: Server, *, streams: int, seconds: float) -> Cost:
    # The first stream loads code that stays; it does not count.
    first = await _subscribe(server.port, 0)
    bytes_before = rss_bytes(server.process_id)
    opened = [await _subscribe(server.port, number // _PER_CALLER + 1) for number in range(streams)]
    grown_bytes = rss_bytes(server.process_id) - bytes_before
    cpu_before, began = cpu_seconds(server.process_id), time.perf_counter()
    await asyncio.sleep(seconds)
    cpu = (cpu_seconds(server.process_id) - cpu_before) / (time.perf_counter() - began)
    began = time.perf_counter()
    os.kill(server.process_id, signal.SIGTERM)
    await asyncio.gather(*(_complete(*stream) for stream in [first, *opened]))
    return Cost(grown_bytes / streams, cpu, time.perf_counter() - began)


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _subscribe(port: int, caller: int) -> _Stream:
    """Return a stream whose first event has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"query": _DOCUMENT}).encode()
    head = "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n"
    head += f"content-type: application/json\r\nauthorization: Bearer streams-{caller}\r\n"
    writer.write(head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body))
    await reader.readuntil(b"event: next\n")
    return reader, writer


async def _complete(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    text = await reader.read()
    writer.close()
    if not text.endswith(_COMPLETE) or b"event: next" in text:
        raise BenchmarkError(f"a stream changed, or did not end as it should: {text[-200:]!r}")
