"""h11 as the second opinion: which requests a strict and independent parser reads out of the same bytes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import h11

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class StrictRequest:
    """One request as h11 reads it.

    Args:
        body: None if the stream ends, or turns invalid, within the request.
        differences: names of the differences without which h11 would refuse the request.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    body: bytes | None
    closes: bool
    differences: tuple[str, ...] = ()


@dataclass(slots=True)
class Reading:
    """What h11 reads out of a whole stream.

    Args:
        ended: `closed` after a request that ends the connection, `whole` after the last one, `partial`
            within one, or h11's reason to refuse.
    """

    requests: list[StrictRequest] = field(default_factory=list)
    ended: str = "whole"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the edge lets in and h11 refuses, although both end the request at the same byte.

    Args:
        reason: why the edge may let it in.
        amend: the head as h11 would take it, with every header that frames the body as it was.
    """

    name: str
    reason: str
    amend: Callable[[bytes], bytes]


def read_strictly(wire: bytes) -> Reading:
    """Reads as a server that answers every request, and ignores offers to upgrade."""
    reading = Reading()
    while wire:
        request, rest = _read_one(wire)
        if isinstance(request, str):
            reading.ended = request
            return reading
        reading.requests.append(request)
        if request.body is None:
            reading.ended = "partial" if rest is None else "refused"
            return reading
        if request.closes:
            reading.ended = "closed"
            return reading
        wire = rest or b""
    return reading


def _read_one(wire: bytes) -> tuple[StrictRequest | str, bytes | None]:
    try:
        return _read(wire, ())
    except h11.RemoteProtocolError as exc:
        amended, names = _amended(wire)
        if not names:
            return str(exc), None
    try:
        return _read(amended, names)
    except h11.RemoteProtocolError as exc:
        return str(exc), None


def _read(wire: bytes, differences: tuple[str, ...]) -> tuple[StrictRequest | str, bytes | None]:
    """The first request and what follows it; what follows is None where the stream ends before.

    Raises:
        h11.RemoteProtocolError: its head is refused.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
    connection.receive_data(wire)
    head = connection.next_event()
    if not isinstance(head, h11.Request):
        return "partial", None
    body, rest = _read_body(connection)
    if body is not None:
        # Whether the connection goes on is known once it is answered: no upgrade, and no tunnel.
        connection.send(h11.Response(status_code=404, headers=[(b"content-length", b"0")]))
        connection.send(h11.EndOfMessage())
    request = StrictRequest(
        head.method,
        head.target,
        head.http_version,
        tuple((bytes(name), bytes(value)) for name, value in head.headers),
        body,
        connection.their_state is h11.MUST_CLOSE,
        differences,
    )
    return request, rest


def _read_body(connection: h11.Connection) -> tuple[bytes | None, bytes | None]:
    body = bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None, b""
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body), connection.trailing_data[0]
        else:
            return None, None


# What is amended for h11, and nothing else.


def _without_empty_lines(head: bytes) -> bytes:
    return head.lstrip(b"\r\n")


def _one_host(head: bytes) -> bytes:
    line, *lines = head.split(b"\r\n")
    others = [other for other in lines if not other.lower().startswith(b"host:")]
    if len(lines) - len(others) == 1:
        return head
    return b"\r\n".join([line, b"host: amended", *others])


def _single_spaces(head: bytes) -> bytes:
    line, end, rest = head.partition(b"\r\n")
    return re.sub(rb" +", b" ", line) + end + rest


def _short_length(head: bytes) -> bytes:
    return re.sub(rb"(?i)(\r\ncontent-length:[ \t]*)0{10,}(?=[0-9])", rb"\1", head)


def _named_http(head: bytes) -> bytes:
    return re.sub(rb"\A((?:GET|POST|OPTIONS) [^\r\n]* )RTSP(/1\.[01])(?=\r\n|\Z)", rb"\1HTTP\2", head)


DIFFERENCES = (
    Difference(
        "empty lines before a request",
        "RFC 9112, 2.2: a server should ignore at least one of them. Any CR and LF counts as one, as it does"
        " for nginx; none of them belongs to a request.",
        _without_empty_lines,
    ),
    Difference(
        "no Host, or more than one",
        "The app compares Host with ALLOWED_HOSTS and answers 421 or 400; no body is framed by it.",
        _one_host,
    ),
    Difference(
        "several spaces in a request line",
        "RFC 9112, 3: a recipient may part the line at any run of spaces; method and target stay the same.",
        _single_spaces,
    ),
    Difference(
        "the name of RTSP with a method of HTTP",
        "The parser does not tell which name it read; the version, and so every rule of reading, is HTTP's.",
        _named_http,
    ),
    Difference(
        "a Content-Length with many leading zeros",
        "RFC 9110, 8.6: any number of digits; h11 stops at twenty. The number is the same.",
        _short_length,
    ),
)


def _amended(wire: bytes) -> tuple[bytes, tuple[str, ...]]:
    start = len(wire) - len(_without_empty_lines(wire))
    end = wire.find(b"\r\n\r\n", start)
    head, rest = (wire, b"") if end < 0 else (wire[:end], wire[end:])
    names = []
    for difference in DIFFERENCES:
        amended = difference.amend(head)
        if amended != head:
            names.append(difference.name)
        head = amended
    return head + rest, tuple(names)
