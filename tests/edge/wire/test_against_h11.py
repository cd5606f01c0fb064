"""The server and h11 parse the same requests from any bytes, in any pieces."""

import asyncio
import random
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.canary import counted
from tests.edge.wire.driving import Driver, Outcome
from tests.edge.wire.judging import Disagreement, counts_of, judge, judged
from tests.edge.wire.messages import Message
from tests.edge.wire.recording import RecordingApp
from tests.edge.wire.serving import Listening
from tests.edge.wire.streams import Case, Stream, generate_case
from tests.edge.wire.strict import DIFFERENCES, read_strictly

# So that several workers have something to do.
SHARES = 4
SMUGGLED = b"POST /smuggled HTTP/1.1\r\nhost: gateway\r\ncontent-length: 3\r\n\r\nabc"
NEXT = b"GET /next HTTP/1.1\r\nhost: gateway\r\n\r\n"


def request(*headers: bytes, line: bytes = b"POST / HTTP/1.1", payload: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"host: gateway", *headers, b"", payload])


UPGRADE = (b"connection: upgrade", b"upgrade: websocket")
LENGTH = b"content-length: %d" % len(SMUGGLED)
CHUNKED = b"transfer-encoding: chunked"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)

# Each was read in another way than h11's before it was found, or is the plain form of such a stream.
MISREAD: dict[str, bytes] = {
    "an upgrade with a length": request(*UPGRADE, LENGTH, payload=SMUGGLED) + NEXT,
    "an upgrade with chunks": request(*UPGRADE, CHUNKED, payload=CHUNKS) + NEXT,
    "an upgrade without a body": request(*UPGRADE) + NEXT,
    "an upgrade behind another": request(*UPGRADE, LENGTH, payload=SMUGGLED) * 3 + NEXT,
    "an upgrade that closes": request(b"connection: upgrade, close", b"upgrade: h2c") + NEXT,
    "an upgrade in HTTP/1.0": request(*UPGRADE, LENGTH, line=b"POST / HTTP/1.0", payload=SMUGGLED) + NEXT,
    "an upgrade with trailers": request(*UPGRADE, CHUNKED, payload=b"0\r\nupgrade: a\r\n\r\n") + NEXT,
    "an upgrade by HEAD": request(*UPGRADE, LENGTH, line=b"HEAD / HTTP/1.1", payload=SMUGGLED) + NEXT,
    "an upgrade that expects": request(*UPGRADE, LENGTH, b"expect: 100-continue", payload=SMUGGLED) + NEXT,
    "an upgrade with length and chunks": request(*UPGRADE, LENGTH, CHUNKED, payload=CHUNKS) + NEXT,
    "a tunnel": request(LENGTH, line=b"CONNECT gateway:443 HTTP/1.1", payload=SMUGGLED) + NEXT,
    "a tunnel to a path": request(LENGTH, line=b"CONNECT / HTTP/1.1", payload=SMUGGLED) + NEXT,
    "a fault behind a request": NEXT + b"P\x9bST / HTTP/1.1\r\n\r\n",
    "a broken body behind a request": NEXT + request(CHUNKED, payload=b"zz\r\n"),
    "a broken trailer behind a request": NEXT + request(CHUNKED, payload=b"0\r\n: b\r\n\r\n"),
    "a coding in quotes": request(b'transfer-encoding: "chunked"', payload=CHUNKS) + NEXT,
    "another coding": request(b"transfer-encoding: gzip", payload=CHUNKS) + NEXT,
    "HTTP/0.9": b"GET /\r\n\r\n" + NEXT,
    "HTTP/0.9 with headers": request(b"connection: keep-alive", line=b"GET / HTTP/0.9") + NEXT,
    "HTTP/2.0 with headers": request(b"connection: keep-alive", line=b"GET / HTTP/2.0") + NEXT,
    "a method of ICE": request(LENGTH, line=b"SOURCE / ICE/1.0", payload=SMUGGLED) + NEXT,
    "a method of RTSP": request(LENGTH, line=b"DESCRIBE / RTSP/1.1", payload=SMUGGLED) + NEXT,
    "a trailer that closes": request(CHUNKED, payload=b"0\r\nconnection: close\r\n\r\n") + NEXT,
    "HTTP/1.0 that expects": request(b"expect: 100-continue", line=b"POST / HTTP/1.0"),
}

DIFFERING: dict[str, bytes] = {
    "empty lines before a request": b"\r\n\r\n" + request(LENGTH, payload=SMUGGLED),
    "no Host, or more than one": b"POST / HTTP/1.1\r\n" + LENGTH + b"\r\n\r\n" + SMUGGLED,
    "several spaces in a request line": request(LENGTH, line=b"POST  /  HTTP/1.1", payload=SMUGGLED),
    "the name of RTSP with a method of HTTP": request(LENGTH, line=b"POST / RTSP/1.1", payload=SMUGGLED),
    "a Content-Length with many leading zeros": request(
        b"content-length: " + b"0" * 30 + b"3", payload=b"abc"
    ),
}


async def drive_case(case: Case, **options: Any) -> None:
    rng = random.Random(case.seed)
    driver = Driver(RecordingApp(), remembers=rng.random() < 0.7, **options)
    for stream in case.streams:
        outcome = await driver.drive(stream, rng)
        with judged(case.seed, stream, outcome):
            counted.update(counts_of(stream, outcome, judge(stream, outcome)))


def in_all_pieces(wire: bytes) -> list[Stream]:
    """Whole, byte for byte, and in two pieces with each cut that there is."""
    cuts = [(wire,), tuple(bytes([byte]) for byte in wire)]
    cuts += [(wire[:at], wire[at:]) for at in range(1, len(wire))]
    return [Stream(pieces, (), is_valid=False, handled=0) for pieces in cuts]


@pytest.fixture
def cases(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--wire-cases"))


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--wire-seed"))


@pytest.mark.parametrize("share", range(SHARES))
async def test_any_stream_is_read_as_h11_reads_it(cases: int, seed: int, share: int) -> None:
    for number in range(share, cases, SHARES):
        await drive_case(generate_case(seed, number))


@pytest.mark.parametrize("name", MISREAD)
async def test_a_stream_that_was_misread_is_read_as_h11_reads_it(name: str) -> None:
    for number, stream in enumerate(in_all_pieces(MISREAD[name])):
        await drive_case(Case(f"{name}, cut {number}", (stream,)))


@pytest.mark.parametrize("name", [difference.name for difference in DIFFERENCES])
async def test_a_named_difference_moves_no_end(name: str) -> None:
    wire = DIFFERING[name] + NEXT
    first, second = read_strictly(wire).requests
    assert name in first.differences
    assert first.body is not None
    assert (second.target, second.differences) == (b"/next", ())

    for stream in in_all_pieces(wire):
        outcome = await Driver(RecordingApp()).drive(stream, random.Random(name))

        with judged(name, stream, outcome):
            judge(stream, outcome)
        assert len(outcome.records) == 2


async def test_a_request_begun_behind_a_large_body_is_not_too_large() -> None:
    large = Message(
        b"POST / HTTP/1.1", (b"host: gateway", b"content-length: 70000"), b" " * 70_000, b" " * 70_000
    )
    small = Message(b"GET / HTTP/1.1", (b"host: gateway",))
    wire = large.wire + small.wire

    for end in (30_000, len(large.head), len(large.wire) - 1):
        for beginning in range(1, len(small.wire)):
            at = len(large.wire) + beginning
            pieces = wire[:end], wire[end:at], wire[at:]
            await drive_case(Case("large", (Stream(pieces, (large, small), is_valid=True, handled=2),)))


@pytest.mark.parametrize("name", ["an upgrade with a length", "an upgrade with chunks", "a tunnel to a path"])
async def test_the_comparison_finds_what_is_wrong_with_the_bare_server(name: str) -> None:
    head, _, rest = MISREAD[name].partition(b"\r\n\r\n")
    stream = Stream((head + b"\r\n\r\n", rest), (), is_valid=False, handled=0)

    with pytest.raises(Disagreement):
        await drive_case(Case(name, (stream,)), protocol=HttpToolsProtocol)


async def _outcome(server: Listening, stream: Stream, *, timeouts_seconds: float = 0) -> Outcome:
    async with asyncio.timeout(60):
        return await server.outcome(stream.pieces, timeouts_seconds=timeouts_seconds)


async def test_streams_over_sockets_are_read_as_h11_reads_them(
    server: Listening, cases: int, seed: int
) -> None:
    for number in range(cases // 10):
        # Others than in memory.
        case = generate_case(seed + 1, number)
        for stream in case.streams:
            try:
                judge(stream, await _outcome(server, stream))
            except Disagreement:
                # On a busy machine the last bytes of an answer may be late; what is wrong is so again.
                late = await _outcome(server, stream, timeouts_seconds=1)
                with judged(case.seed, stream, late):
                    judge(stream, late)
            counted["byte streams over sockets"] += 1
