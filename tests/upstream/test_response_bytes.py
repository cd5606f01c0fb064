"""Generated responses, valid and invalid ones, read by our connections and by h11.

Our connections may refuse what h11 accepts. If they accept what h11 refuses, the difference has a name in
`DIFFERENCES`, and h11 has to agree once that difference is mended.
"""

import asyncio
import errno
import random
import re
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import h11
import httpx
import pytest

from gallery_gateway.errors import ERRORS
from gallery_gateway.upstream.refusals import transport_error_kind
from gallery_gateway.upstream.transport import Connection, Pool, RawResponse, Timeouts
from tests.upstream.responses import Stream, pieces, stream
from tests.upstream.sockets import serving

PATIENCE = Timeouts(connect=60, first_byte=60, read=60, total=60)
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MAX_BYTES = 200_000

# With each piece, a caller may give up.
_LEAVING = 0.001

DIFFERENCES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty lines": (
        "Before a status line they are skipped: some servers end a body with one too many.",
        lambda raw: re.sub(rb"(\A|(?<=\r\n\r\n))[\r\n]+(?=HTTP/)", b"", raw),
    ),
    "other protocol": (
        "The parser knows these, which look like HTTP/1 in everything but their name.",
        lambda raw: re.sub(rb"(\A|(?<=\r\n\r\n))(RTSP|ICE)/", b"HTTP/", raw),
    ),
    "reason phrase": (
        "A control character in it is dropped with the phrase, which is not used.",
        lambda raw: re.sub(rb"(\A|(?<=\r\n\r\n))(HTTP/1\.[01] [0-9]{3}) [^\r\n]*", rb"\2", raw),
    ),
    "zeros before a chunk's size": (
        "h11 takes 20 digits; zeros before a number do not change it.",
        lambda raw: re.sub(rb"(?<=\r\n)0{10,}(?=[0-9a-fA-F])", b"", raw),
    ),
    "trailers": (
        "They are dropped; that one of them speaks of framing comes too late to change it.",
        lambda raw: re.sub(rb"(?<=\r\n)(0+(?:;[^\r\n]*)?\r\n)(?:[^\r\n]+\r\n)+(?=\r\n)", rb"\1", raw),
    ),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A complete response, the bytes behind it, and whether the connection may be used again."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    behind: bytes = b""
    is_kept: bool = False


class Counting(Connection):
    """Counts what the parser tells it."""

    callbacks = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.callbacks += 1
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.callbacks += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.callbacks += 1
        super().on_body(body)


class Wire(asyncio.Transport):
    """The transport of a connection, without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False
        retire_at = asyncio.get_running_loop().time() + 60
        self.protocol = Counting(max_bytes=MAX_BYTES, retire_at=retire_at, on_closed=lambda _connection: None)
        self.protocol.connection_made(self)

    def ask(self) -> "asyncio.Future[RawResponse]":
        until = asyncio.get_running_loop().time() + 60
        return self.protocol.send(HEAD, PATIENCE, until=until)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Discard the request."""

    def abort(self) -> None:
        if not self.is_aborted:
            self.is_aborted = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


async def exchange(wire: Wire, sent: Stream, rng: random.Random) -> RawResponse | httpx.TransportError | None:
    """Ask, let the stream come in pieces, and end the connection if the response is not complete then.

    `None`: the caller has gone meanwhile.
    """
    waiter = wire.ask()
    for piece in pieces(rng, sent.raw):
        # What is behind a response comes too before the connection is used again: the pool asks the kernel.
        if not wire.is_aborted:
            wire.protocol.data_received(piece)
            await asyncio.sleep(0)
        if not waiter.done() and rng.random() < _LEAVING:
            # As the pool does when its caller is cancelled.
            waiter.cancel()
            wire.protocol.abort()
    if waiter.cancelled():
        return None
    if not wire.is_aborted and (sent.hangs_up or not waiter.done()):
        reset = None if sent.hangs_up else ConnectionResetError(errno.ECONNRESET, "reset")
        wire.protocol.connection_lost(reset)
    # No time may pass: all that could come has come.
    assert waiter.done()
    await asyncio.sleep(0)
    error = waiter.exception()
    assert error is None or isinstance(error, httpx.TransportError)
    return error or waiter.result()


def read_by_h11(raw: bytes, *, hangs_up: bool) -> Reading | None:
    """Return the first final response, or `None` if it is not complete.

    Raises:
        h11.RemoteProtocolError: this is no HTTP.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=10_000_000)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    head, body = None, []
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if not hangs_up or connection.trailing_data[1]:
                return None
            connection.receive_data(b"")
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = [(bytes(name), bytes(value)) for name, value in head.headers]
            is_kept = connection.their_state is h11.DONE
            return Reading(head.status_code, headers, b"".join(body), connection.trailing_data[0], is_kept)
        elif not isinstance(event, h11.InformationalResponse):
            # The end of the connection.
            return None


def read_by_ours(answer: RawResponse) -> Reading:
    # h11 writes the name of the coding in lower case.
    headers = [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in answer.headers
    ]
    return Reading(answer.status, headers, b"".join(answer.parts))


def ending_of(sent: Stream, raw: bytes) -> Reading | str | None:
    try:
        return read_by_h11(raw, hangs_up=sent.hangs_up)
    except h11.RemoteProtocolError as exc:
        return str(exc)


def check_accepted(sent: Stream, answer: RawResponse, *, is_open: bool) -> str:
    """Compare with h11, mended if it must be; return in which way they agree."""
    ours = read_by_ours(answer)
    theirs = ending_of(sent, sent.raw)
    name = "accepted"
    if ours.status == 101:
        # h11 knows that no upgrade was asked for; ours has no body, and ends the connection.
        assert not is_open
        assert ours.body == b""
        return "101"
    raw = sent.raw
    for difference, (_, mend) in DIFFERENCES.items():
        if not isinstance(theirs, str):
            break
        mended = mend(raw)
        if mended != raw:
            raw, name = mended, difference
            theirs = ending_of(sent, raw)
    assert isinstance(theirs, Reading), theirs
    assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body)
    assert not is_open or theirs.is_kept
    # Empty lines are no response, and none can be made of them.
    assert not is_open or theirs.behind.strip(b"\r\n") == b"", theirs.behind
    return name


def check_refused(error: httpx.TransportError) -> str:
    reason = transport_error_kind(error)
    assert reason in ERRORS
    assert reason != "other"
    return reason


def names_in(answer: RawResponse) -> bytes:
    body = b"".join(answer.parts)
    if body[:2] != b"\x1f\x8b":
        return body
    try:
        return zlib.decompressobj(31).decompress(body)
    except zlib.error:
        return b""


async def walk(cases: int, seed: int) -> Counter[str]:
    """Let two callers take turns on connections that are used as long as they are open."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    wire = Wire()
    for case in range(cases):
        if not wire.protocol.is_open:
            wire = Wire()
            counts["connections"] += 1
        owner, other = rng.sample([b"<ada>", b"<ben>"], 2)
        sent = stream(rng, owner)
        try:
            answer = await exchange(wire, sent, rng)
            counts[check(sent, answer, other, is_open=wire.protocol.is_open)] += 1
            assert not unheard
        except AssertionError as exc:
            raise AssertionError(f"case {case} of seed {seed}, {sent.made_by}: {sent.raw[:3_000]!r}") from exc
    return counts


def check(
    sent: Stream, answer: RawResponse | httpx.TransportError | None, other: bytes, *, is_open: bool
) -> str:
    if answer is None:
        assert not is_open
        return "left"
    error = answer.error if isinstance(answer, RawResponse) else answer
    if isinstance(answer, RawResponse):
        assert other not in names_in(answer)
        assert answer.body_bytes == sum(map(len, answer.parts)) <= len(sent.raw)
        if error is None:
            return check_accepted(sent, answer, is_open=is_open)
    assert error is not None
    assert not is_open
    if sent.is_valid:
        # Only a server that hangs up too early makes an error of it.
        assert ending_of(sent, sent.raw) is None, error
    return check_refused(error)


def endless(name: str) -> tuple[bytes, bytes]:
    """How a response begins, and what then comes again and again."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return {
        "empty lines": (b"", b"\r\n"),
        "a status line": (b"HTTP/1.1 200 ", b"O"),
        "a header": (b"HTTP/1.1 200 OK\r\nx: ", b"a"),
        "headers": (b"HTTP/1.1 200 OK\r\n", b"a:\r\n"),
        "early hints": (b"", b"HTTP/1.1 103 \r\n\r\n"),
        "zeros of a length": (b"HTTP/1.1 200 OK\r\nContent-Length: ", b"0"),
        "zeros of a size": (chunked, b"0"),
        "an extension": (chunked + b"1;", b"a"),
        "extensions": (chunked + b"1", b";a=b"),
        "chunks of one byte": (chunked, b"1\r\n \r\n"),
        "a trailer": (chunked + b"2\r\n{}\r\n0\r\nx: ", b"a"),
        "trailers": (chunked + b"2\r\n{}\r\n0\r\n", b"a:\r\n"),
    }[name]


@pytest.mark.parametrize("piece_bytes", [1_000, 256_000])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty lines", "head_too_large"),
        ("a status line", "head_too_large"),
        ("a header", "head_too_large"),
        ("headers", "head_too_large"),
        ("early hints", "head_too_large"),
        ("zeros of a length", "head_too_large"),
        ("zeros of a size", "overhead_too_large"),
        ("an extension", "overhead_too_large"),
        ("extensions", "overhead_too_large"),
        ("chunks of one byte", "overhead_too_large"),
        ("a trailer", "overhead_too_large"),
        ("trailers", "overhead_too_large"),
    ],
)
async def test_endless_responses_are_cut_off_early(name: str, reason: str, piece_bytes: int) -> None:
    beginning, again = endless(name)
    wire = Wire()
    waiter = wire.ask()
    piece = again * (piece_bytes // len(again))
    taken_bytes = 0

    tracemalloc.start()
    wire.protocol.data_received(beginning)
    while not wire.is_aborted and taken_bytes < 10_000_000:
        wire.protocol.data_received(piece)
        taken_bytes += len(piece)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    error = waiter.exception() or waiter.result().error
    assert isinstance(error, httpx.TransportError)
    assert transport_error_kind(error) == reason
    assert taken_bytes < 700_000
    assert wire.protocol.callbacks < 100_000
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize(
    "head", [b"Content-Length: 10000000", b"Transfer-Encoding: chunked\r\n\r\n989680", b"Connection: close"]
)
async def test_a_body_that_is_too_large_is_cut_just_above_the_limit(head: bytes) -> None:
    end = b"\r\n" if b"chunked" in head else b"\r\n\r\n"
    wire = Wire()
    waiter = wire.ask()

    wire.protocol.data_received(b"HTTP/1.1 200 OK\r\n" + head + end)
    while not wire.is_aborted:
        wire.protocol.data_received(b"x" * 10_000)

    assert MAX_BYTES < waiter.result().body_bytes <= MAX_BYTES + 10_000


async def test_every_response_is_read_as_h11_does_or_ends_in_one_clear_error(
    pytestconfig: pytest.Config,
) -> None:
    cases = pytestconfig.getoption("response_cases")

    counts = await walk(cases, pytestconfig.getoption("response_seed"))

    assert counts.total() - counts["connections"] == cases
    assert counts["accepted"] > cases / 3
    assert counts["not_http"] > cases / 20


@dataclass(slots=True)
class FuzzingServer:
    """Answers each request by a stream that names its owner, and keeps what it sent last to each.

    Args:
        is_complete: whether a stream leaves in one piece.
    """

    rng: random.Random
    is_complete: bool
    sent: dict[bytes, Stream] = field(default_factory=dict)

    async def respond(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        owner = head.partition(b"x-owner: ")[2].partition(b"\r\n")[0]
        sent = stream(self.rng, owner)
        if not isinstance(ending_of(sent, sent.raw), Reading):
            # What does not end would be waited for.
            sent = replace(sent, hangs_up=True)
        self.sent[owner] = sent
        for piece in [sent.raw] if self.is_complete else pieces(self.rng, sent.raw):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if sent.hangs_up:
            writer.close()


async def ask_often(
    pool: Pool, server: FuzzingServer, owner: bytes, other: bytes, cases: int
) -> Counter[str]:
    counts: Counter[str] = Counter()
    head = HEAD[:-2] + b"x-owner: %b\r\n\r\n" % owner
    for case in range(cases):
        try:
            answer: RawResponse | httpx.TransportError = await pool.send(head, PATIENCE, caller_key=owner)
        except httpx.TransportError as exc:
            answer = exc
        sent = server.sent[owner]
        try:
            counts[check(sent, answer, other, is_open=False)] += 1
        except AssertionError as exc:
            raise AssertionError(f"case {case}, {sent.made_by}: {sent.raw[:3_000]!r}") from exc
    return counts


@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
@pytest.mark.parametrize(
    ("silent_seconds", "is_complete"),
    [(0.0, True), (1.0, False)],
    ids=["connections change hands", "bytes come late"],
)
async def test_two_callers_of_one_pool_never_see_each_others_responses(
    pytestconfig: pytest.Config, silent_seconds: float, is_complete: bool
) -> None:
    cases = pytestconfig.getoption("response_cases") // 40
    server = FuzzingServer(random.Random(pytestconfig.getoption("response_seed")), is_complete=is_complete)

    async with serving(server.respond) as listening:
        pool = Pool(listening.url, max_connections=3, max_bytes=MAX_BYTES, silent_seconds=silent_seconds)
        counts = await asyncio.gather(
            ask_often(pool, server, b"<ada>", b"<ben>", cases),
            ask_often(pool, server, b"<ben>", b"<ada>", cases),
        )
        await pool.aclose()

    assert [count.total() for count in counts] == [cases, cases]
    assert listening.connections < 2 * cases
