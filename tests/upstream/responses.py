"""Makes responses out of a seed: valid ones of every framing, and ones that something was done to."""

import gzip
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

_NAMES = (
    "X-Request-Id", "etag", "VARY", "Cache-control", "Set-Cookie", "x_y.z~!#$%&'*+-^`|", "Age", "Server",
)  # fmt: skip
_VALUES = (
    b"", b"a", b'"v1"', b"a,  b ,c", b"text with\ttab", b"caf\xe9 \xff\x80", b"a:b;c=d",
    b'(comment) \\ "quoted"', b"z" * 300,
)  # fmt: skip
_REASONS = (b"OK", b"", b"Not  so\tfine", b"Caf\xe9", b"200 OK HTTP/1.1")
_EXTENSIONS = (b"", b"", b"", b";a", b";name=value", b';q="a;b"', b";a=1;b=2")
_TRAILERS = (b"", b"", b"X-Checksum: abc\r\n", b"Expires: 0\r\nx-two:\r\n", b"connection: close\r\n")
_TRANSFER_ENCODINGS = (
    b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"xchunked", b"chunkedx",
    b"chunk", b"chunked;q=1", b"\x0bchunked", b"chunked\x00", b",chunked", b"chunked,", b'"chunked"', b"",
    b"CHUNKED", b" \t chunked \t", b"chunked ", b"chunked\t ", b"identity, chunked",
    b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity",
    b"identity\r\nTransfer-Encoding: chunked", b"\r\n chunked", b"cow",
)  # fmt: skip
_LENGTHS = (
    b"+%d", b"-%d", b"0x%x", b"%d, %d", b"%d,%d ", b"%d %d", b"%d.0", b"%de0", b"0%d",
    b"00000000000000000000%d", b"%d\r\nContent-Length: %d", b"%d\r\nContent-Length: 1", b"%d\x00", b" %d\t",
    b"\x0b%d", b"1_%d", b"", b"%d;", b"18446744073709551615", b"18446744073709551616",
    b"99999999999999999999999", b"9223372036854775808", b"0" * 5_000 + b"%d", b"\xb2", b"\r\n %d",
    b"%d\r\nContent-Length : 3", b"%d\r\nContent_Length: 3",
)  # fmt: skip
_CHUNK_SIZES = (
    b"%x ", b" %x", b"+%x", b"-%x", b"0x%x", b"%x\t", b"%x;", b"%x ;a", b"%x; a", b"%x;a=", b'%x;a="',
    b"%x;\x00", b"%x;a\n", b"%x\n", b"%x\r", b"", b"%x_0", b"%xg", b"0000000000000000000000%x",
    b"ffffffffffffffff", b"10000000000000000%x", b"fffffffffffffffff", b"7fffffffffffffff", b"%x,%x",
    b"\xb2", b"%x" + b";a" * 9_000,
)  # fmt: skip
_LINES = (
    b"X: a\nY: b", b"X: a\rb", b"X: a\x00b", b"X: a\r\n folded", b"X : a", b" X: a", b"no colon", b": a",
    b"X\x00: a", b"X: a\x7f\x01", b"X\xe9: a", b"X: " + b"a" * 70_000, b"X: a\r", b"\tX: a", b"X: a\r\r",
    b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade\r\nUpgrade: h2c",
    b"Proxy-Connection: close", b"Connection: close, keep-alive", b"Transfer-Encoding: chunked",
    b"Content-Length: 3", b"Trailer: Content-Length", b"Content-Encoding: gzip",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
    b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3",
)  # fmt: skip
_STATUS_LINES = (
    b"HTTP/1.1 200", b"HTTP/1.1 200  OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 200OK", b"HTTP/1.1 20 OK",
    b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 Low", b"HTTP/1.1 000 Zero", b"HTTP/1.1 600 High",
    b"HTTP/1.1 999 Top", b"HTTP/1.1 2x0 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200", b"HTTP/0.9 200 OK",
    b"HTTP/1.2 200 OK", b"HTTP/3.0 200 OK", b"HTTP/1.10 200 OK", b"http/1.1 200 OK", b"HTTP /1.1 200 OK",
    b"RTSP/1.0 200 OK", b"ICE/1.0 200 OK", b"ICY 200 OK", b"GET / HTTP/1.1", b"HTTP/1.1 200 a\x00b",
    b"HTTP/1.1 200 a\x7fb\x01", b"HTTP/1.1 200 a\rb", b"HTTP/1.1 200 a\nb", b" HTTP/1.1 200 OK",
    b"\r\nHTTP/1.1 200 OK", b"\nHTTP/1.1 200 OK", b"\xef\xbb\xbfHTTP/1.1 200 OK", b"HTTP/1.1\t200\tOK",
    b"HTTP/1.1 +20 OK", b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x", b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 205 Reset", b"HTTP/1.0 200 OK",
    b"HTTP/1.1 103 E",
)  # fmt: skip
_SURPLUS = (
    b"\r\n", b"\n", b"\r", b"H", b"HTTP/1.1 ", b"X", b"\x00", b"0\r\n\r\n", b"}", b"\r\n\r\n", b"x" * 5_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Response:
    """A response in the parts of which it is made.

    Args:
        interim: the 1xx responses before it.
        lines: the header lines, each without its end.
        chunks: sizes with extensions, and content; `None`: the body is not chunked.
        ends_by_close: whether nothing but the end of the connection ends it.
    """

    interim: bytes
    status_line: bytes
    lines: tuple[bytes, ...]
    body: bytes
    chunks: tuple[tuple[bytes, bytes], ...] | None
    trailers: bytes
    ends_by_close: bool

    @property
    def raw(self) -> bytes:
        head = b"".join(line + b"\r\n" for line in (self.status_line, *self.lines))
        if self.chunks is None:
            return b"%b%b\r\n%b" % (self.interim, head, self.body)
        body = b"".join(b"%b\r\n%b\r\n" % chunk for chunk in self.chunks)
        return b"%b%b\r\n%b0\r\n%b\r\n" % (self.interim, head, body, self.trailers)

    def with_line(self, line: bytes, rng: random.Random) -> "Response":
        place = rng.randint(0, len(self.lines))
        return replace(self, lines=(*self.lines[:place], line, *self.lines[place:]))


@dataclass(frozen=True, slots=True)
class Stream:
    """What a server sends to one request.

    Args:
        made_by: the name of what was done to a valid response.
        is_valid: whether a valid response is in it, and nothing before that.
        hangs_up: whether the server then does.
    """

    made_by: str
    raw: bytes
    is_valid: bool
    hangs_up: bool


def valid(rng: random.Random, owner: bytes) -> Response:
    """A response that RFC 9112 allows; its body, if it has one, names its owner."""
    framing = rng.choice(["length", "length", "chunked", "chunked", "close", "none", "old", "old and kept"])
    version = b"HTTP/1.0" if framing.startswith("old") else b"HTTP/1.1"
    status = (
        rng.choice([204, 304, 304]) if framing == "none" else rng.choice([200, 200, 200, 203, 401, 404, 500])
    )
    body = b"" if framing == "none" else _body(rng, owner)
    lines = [_line(rng, rng.choice(_NAMES), rng.choice(_VALUES)) for _ in range(rng.randint(0, 4))]
    if body[:2] == b"\x1f\x8b":
        lines.append(_line(rng, "Content-Encoding", b"gzip"))
    chunks = None
    if framing in {"length", "old and kept"} or (framing == "old" and rng.random() < 0.5):
        lines.append(_line(rng, "Content-Length", b"%d" % len(body)))
    elif framing == "chunked":
        # The parser does not know it with a tab behind; that is among what may be done to a response.
        line = _line(rng, "Transfer-Encoding", rng.choice([b"chunked", b"Chunked"]))
        lines.append(line.rstrip(b"\t "))
        chunks = tuple(_chunks(rng, body))
    elif framing == "none" and rng.random() < 0.5:
        lines.append(_line(rng, "Content-Length", b"%d" % rng.choice([0, 5, 100_000])))
    if framing == "old and kept":
        lines.append(_line(rng, "Connection", b"keep-alive"))
    elif rng.random() < 0.2:
        lines.append(_line(rng, "Connection", rng.choice([b"close", b"Close", b"keep-alive", b"x-else"])))
    rng.shuffle(lines)
    names = {line.partition(b":")[0].lower() for line in lines}
    return Response(
        interim=b"" if version == b"HTTP/1.0" else b"".join(_interim(rng)),
        status_line=b"%b %d %b" % (version, status, rng.choice(_REASONS)),
        lines=tuple(lines),
        body=body,
        chunks=chunks,
        trailers=rng.choice(_TRAILERS),
        ends_by_close=framing in {"close", "old"} and b"content-length" not in names,
    )


def stream(rng: random.Random, owner: bytes) -> Stream:
    response = valid(rng, owner)
    if rng.random() < 0.4:
        return Stream("valid", response.raw, True, response.ends_by_close or rng.random() < 0.05)
    mutate = rng.choice(_MUTATIONS)
    raw = mutate(rng, response, owner)
    is_valid = mutate in {_doubled, _with_surplus, _with_another_behind}
    return Stream(mutate.__name__, raw, is_valid, response.ends_by_close or rng.random() < 0.3)


def pieces(rng: random.Random, raw: bytes) -> Iterator[bytes]:
    """The same bytes, cut at random."""
    most = rng.choice([len(raw), len(raw), 1 if len(raw) < 600 else 100, 20, 500])
    start = 0
    while start < len(raw):
        size = (
            rng.randint(1, max(1, most))
            if most < len(raw)
            else rng.choice([len(raw), rng.randint(1, len(raw))])
        )
        yield raw[start : start + size]
        start += size


def _body(rng: random.Random, owner: bytes) -> bytes:
    padding = b"x" * rng.choice([0, 0, 1, 50, 700, 5_000, 20_000])
    body = b'{"owner": "%b", "padding": "%b"}' % (owner, padding)
    return gzip.compress(body, 1, mtime=0) if rng.random() < 0.2 else body


def _line(rng: random.Random, name: str, value: bytes) -> bytes:
    name = rng.choice([name, name, name.lower(), name.upper(), name.swapcase()])
    before, after = rng.choice([b" ", b" ", b"", b"\t", b"   "]), rng.choice([b"", b"", b"", b" ", b"\t "])
    return b"%b:%b%b%b" % (name.encode(), before, value, after)


def _chunks(rng: random.Random, body: bytes) -> Iterator[tuple[bytes, bytes]]:
    largest = rng.choice([1 if len(body) < 1_000 else 100, 30, 300, 20_000])
    start = 0
    while start < len(body):
        chunk = body[start : start + rng.randint(1, largest)]
        size = rng.choice([b"%x", b"%X", b"000%x"]) % len(chunk)
        yield size + rng.choice(_EXTENSIONS), chunk
        start += len(chunk)


def _interim(rng: random.Random) -> Iterator[bytes]:
    while rng.random() < 0.15:
        line = rng.choice([b"", b"", b"Link: </style.css>; rel=preload\r\n", b"X-A: \xe9\r\nX-B:\r\n"])
        yield b"HTTP/1.1 %d Wait\r\n%b\r\n" % (rng.choice([100, 102, 103, 199]), line)


# What may be done to a response. Each gets the owner too, for the responses that it makes up.

_Mutation = Callable[[random.Random, Response, bytes], bytes]


def _other_line(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    return response.with_line(rng.choice(_LINES), rng).raw


def _other_length(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    pattern = rng.choice(_LENGTHS)
    # Right, or wrong by a few bytes, or by the size of another response.
    length = max(0, len(response.body) + rng.choice([0, 0, 0, -1, 1, -7, 7, 300]))
    value = pattern.replace(b"%d", b"%d" % length).replace(b"%x", b"%x" % length)
    lines = tuple(line for line in response.lines if not line.lower().startswith(b"content-length"))
    return replace(response, lines=lines).with_line(b"Content-Length: " + value, rng).raw


def _wrong_length(rng: random.Random, response: Response, owner: bytes) -> bytes:
    lines = tuple(line for line in response.lines if not line.lower().startswith(b"content-length"))
    length = max(0, len(response.body) + rng.choice([-1, 1, -5, 5, 100, -100]))
    return replace(response, lines=lines).with_line(b"Content-Length: %d" % length, rng).raw + (
        b"" if rng.random() < 0.5 else valid(rng, owner).raw
    )


def _other_transfer_encoding(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    lines = tuple(line for line in response.lines if not line.lower().startswith(b"transfer-encoding"))
    coding = rng.choice(_TRANSFER_ENCODINGS)
    return replace(response, lines=lines).with_line(b"Transfer-Encoding: " + coding, rng).raw


def _both_framings(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    """The one that smuggles: a length and chunks, whichever comes first."""
    chunks = response.chunks or tuple(_chunks(rng, response.body))
    length = b"Content-Length: %d" % rng.choice([0, len(response.body), 3])
    both = [length, b"Transfer-Encoding: chunked"]
    rng.shuffle(both)
    lines = tuple(
        line
        for line in response.lines
        if not line.lower().startswith((b"content-length", b"transfer-encoding"))
    )
    return replace(response, lines=(*lines, *both), chunks=chunks).raw


def _other_status_line(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    return replace(response, status_line=rng.choice(_STATUS_LINES)).raw


def _other_chunk(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    chunks = list(_chunks(rng, response.body) if response.chunks is None else response.chunks)
    lines = tuple(line for line in response.lines if not line.lower().startswith(b"content-length"))
    if response.chunks is None:
        lines = (*lines, b"Transfer-Encoding: chunked")
    place = rng.randint(0, len(chunks))
    content = chunks[place][1] if place < len(chunks) else b"more"
    wrong = max(0, len(content) + rng.choice([0, 0, 0, 1, -1, 50]))
    size = rng.choice([*_CHUNK_SIZES, b"%x"]).replace(b"%x", b"%x" % wrong)
    chunks[place : place + 1] = [(size, content)]
    return replace(response, lines=lines, chunks=tuple(chunks)).raw


def _other_trailers(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    trailers = rng.choice([*_LINES, b"Content-Length: 5", b"Transfer-Encoding: gzip", b"Connection: close"])
    return replace(response, trailers=trailers + b"\r\n").raw


def _other_interim(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    status = rng.choice([b"100", b"101", b"103", b"199", b"099", b"204"])
    line = rng.choice([*_LINES, b"Content-Length: 5", b"Transfer-Encoding: chunked"])
    version = rng.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"])
    return b"%b %b Wait\r\n%b\r\n\r\n%b" % (version, status, line, response.raw)


def _other_line_ends(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    head, _, rest = response.raw.partition(b"\r\n\r\n")
    end = rng.choice([b"\n", b"\r", b"\r\r\n", b"\n\r"])
    if rng.random() < 0.5:
        return (head + b"\r\n\r\n").replace(b"\r\n", end) + rest
    lines = (head + b"\r\n\r\n" + rest).split(b"\r\n")
    place = rng.randrange(len(lines) - 1)
    return b"\r\n".join(lines[: place + 1]) + end + b"\r\n".join(lines[place + 1 :])


def _cut(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    raw = response.raw
    return raw[: rng.randrange(len(raw))]


def _doubled(_rng: random.Random, response: Response, _owner: bytes) -> bytes:
    return response.raw * 2


def _with_surplus(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    return response.raw + rng.choice(_SURPLUS)


def _with_another_behind(rng: random.Random, response: Response, owner: bytes) -> bytes:
    return response.raw + rng.choice([b"", b"", *_SURPLUS]) + valid(rng, owner).raw


def _flipped(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    raw = bytearray(response.raw)
    for _ in range(rng.randint(1, 4)):
        raw[_place(rng, raw)] = rng.choice([rng.randrange(256), *b"\r\n\0 :;,0"])
    return bytes(raw)


def _with_less(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    raw = response.raw
    start = _place(rng, raw)
    return raw[:start] + raw[start + rng.choice([1, 1, 2, 10, 100]) :]


def _with_more(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    raw = response.raw
    place = _place(rng, raw)
    more = rng.choice(
        [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b"\xff", b"0", b":", b"\r\n\r\n", rng.randbytes(8)]
    )
    return raw[:place] + more + raw[place:]


def _with_a_slice_twice(rng: random.Random, response: Response, _owner: bytes) -> bytes:
    raw = response.raw
    start, place = _place(rng, raw), _place(rng, raw)
    return raw[:place] + raw[start : start + rng.choice([1, 2, 20, 300])] + raw[place:]


def _place(rng: random.Random, raw: bytes | bytearray) -> int:
    """Anywhere, and mostly in the head or among the frames of chunks."""
    ends = [end.start() for end in re.finditer(rb"\r\n", raw)]
    if not ends or rng.random() < 0.3:
        return rng.randrange(len(raw))
    return max(0, min(len(raw) - 1, rng.choice(ends) + rng.randint(-12, 12)))


_MUTATIONS: tuple[_Mutation, ...] = (
    _other_line,
    _other_length,
    _wrong_length,
    _other_transfer_encoding,
    _both_framings,
    _other_status_line,
    _other_chunk,
    _other_trailers,
    _other_interim,
    _other_line_ends,
    _cut,
    _doubled,
    _with_surplus,
    _with_another_behind,
    _flipped,
    _with_less,
    _with_more,
    _with_a_slice_twice,
)
