"""Faults in requests: of the kinds by which two parsers have been made to disagree, and of any bytes."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.edge.wire.messages import CRLF, SMUGGLED, TRAILERS, Message, split, upgrade
from tests.edge.wire.oddities import (
    LINE_ENDS,
    ODD_BEGINNINGS,
    ODD_BYTES,
    ODD_CHUNK_SIZES,
    ODD_ENCODINGS,
    ODD_HEADERS,
    ODD_LENGTHS,
    ODD_METHODS,
    ODD_NAMES,
    ODD_TARGETS,
    ODD_TRAILERS,
    ODD_VERSIONS,
)

Damage = Callable[[random.Random, Message], Message]


def damaged(rng: random.Random, messages: list[Message]) -> bytes:
    """The requests with one to four faults in them."""
    faulty = list(messages)
    kind = rng.random()
    if kind < 0.75:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at = rng.randrange(len(faulty))
            faulty[at] = rng.choice(_DAMAGES)(rng, faulty[at])
    wires = [message.wire for message in faulty]
    if kind > 0.85:
        wires = _rearranged(rng, wires)
    wire = b"".join(wires)
    return _scrambled(rng, wire) if 0.7 < kind < 0.9 else wire


def _without(message: Message, *names: bytes) -> tuple[bytes, ...]:
    return tuple(line for line in message.headers if line.partition(b":")[0].lower() not in names)


def _inserted(rng: random.Random, lines: tuple[bytes, ...], line: bytes) -> tuple[bytes, ...]:
    at = rng.randint(0, len(lines))
    return (*lines[:at], line, *lines[at:])


def _odd_length(rng: random.Random, message: Message) -> Message:
    size = len(message.payload)
    length = rng.choice((*ODD_LENGTHS, b"%d" % size, b"%d" % (size + 1), b"3", b"0"))
    kept = (
        message.headers if rng.random() < 0.3 else _without(message, b"content-length", b"transfer-encoding")
    )
    name = rng.choice((b"Content-Length: ", b"content-length:"))
    return replace(message, headers=_inserted(rng, kept, name + length))


def _odd_encoding(rng: random.Random, message: Message) -> Message:
    kept = message.headers if rng.random() < 0.3 else _without(message, b"transfer-encoding")
    name = rng.choice((b"Transfer-Encoding: ", b"transfer-encoding:"))
    lines = _inserted(rng, kept, name + rng.choice(ODD_ENCODINGS))
    if rng.random() < 0.15:
        lines = _inserted(rng, lines, name + rng.choice((b"chunked", *ODD_ENCODINGS)))
    if rng.random() < 0.15:
        lines = tuple(line for line in lines if not line.lower().startswith(b"content-length"))
    return replace(message, headers=lines)


def _odd_name(rng: random.Random, message: Message) -> Message:
    name = rng.choice(ODD_NAMES)
    value = b"chunked" if b"ncoding" in name else b"5"
    return replace(message, headers=_inserted(rng, message.headers, name + b": " + value))


def _odd_header(rng: random.Random, message: Message) -> Message:
    return replace(message, headers=_inserted(rng, message.headers, rng.choice(ODD_HEADERS)))


def _no_host(_rng: random.Random, message: Message) -> Message:
    return replace(message, headers=_without(message, b"host"))


def _odd_line(rng: random.Random, message: Message) -> Message:
    method, target, version = split(message.line)
    kind = rng.randrange(4)
    if kind == 0:
        version = rng.choice(ODD_VERSIONS)
    elif kind == 1:
        method = rng.choice(ODD_METHODS)
    elif kind == 2:
        target = rng.choice(ODD_TARGETS)
    else:
        method, version = rng.choice(ODD_METHODS), rng.choice(ODD_VERSIONS)
    space = rng.choice((b" ", b" ", b" ", b"  ", b"\t", b"\x0b", b" \t", b"\xa0"))
    headers = message.headers
    if rng.random() < 0.2:
        headers = (*_without(message, b"connection"), b"Connection: keep-alive")
    return replace(message, line=space.join([method, target, version]), headers=headers)


def _odd_line_end(rng: random.Random, message: Message) -> Message:
    """One line end of the head or of the payload is another."""
    wire = message.wire
    ends = [at for at in range(len(wire)) if wire.startswith(CRLF, at)][:60]
    if not ends:
        return message
    at = rng.choice(ends)
    wire = wire[:at] + rng.choice(LINE_ENDS) + wire[at + 2 :]
    head, _, payload = wire.partition(b"\r\n\r\n")
    line, *headers = head.split(CRLF)
    return replace(message, line=line, headers=tuple(headers), payload=payload)


def _odd_chunk(rng: random.Random, message: Message) -> Message:
    size = rng.choice(ODD_CHUNK_SIZES)
    data = rng.choice((b"12345", b"", b"12345678"))
    end = rng.choice((CRLF, CRLF, CRLF, b"\n", b"\r", b"", b"x\r\n", b"\r\r\n"))
    headers = (*_without(message, b"transfer-encoding", b"content-length"), b"Transfer-Encoding: chunked")
    chunk = size + rng.choice((CRLF, CRLF, CRLF, b"\n", b"\r")) + data + end
    rest = rng.choice(
        (b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"0\n\n", b"0\r\n", b"", b"0\r\nx: y\r\n\r\n")
    )
    payload = chunk + rest if rng.random() < 0.7 else b"4\r\nwxyz\r\n" + chunk + rest
    return replace(message, headers=headers, payload=payload)


def _odd_trailer(rng: random.Random, message: Message) -> Message:
    headers = (*_without(message, b"transfer-encoding", b"content-length"), b"Transfer-Encoding: chunked")
    end = rng.choice((b"\r\n\r\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\n\n", b"\r\r\n\r\n", b"\r\n"))
    payload = b"3\r\nabc\r\n0\r\n" + rng.choice((*ODD_HEADERS, *ODD_TRAILERS, *TRAILERS)) + end
    return replace(message, headers=headers, payload=payload)


def _odd_payload(rng: random.Random, message: Message) -> Message:
    payload = message.payload
    kind = rng.randrange(4)
    if kind == 0:
        payload = payload[: rng.randint(0, len(payload))]
    elif kind == 1:
        payload += rng.choice((CRLF, b"\n", b"x", b"\x00", SMUGGLED, b"0\r\n\r\n"))
    elif kind == 2:
        payload = SMUGGLED + payload
    else:
        payload = payload.replace(b"0\r\n\r\n", b"", 1)
    return replace(message, payload=payload)


def _odd_beginning(rng: random.Random, message: Message) -> Message:
    return replace(message, before=rng.choice(ODD_BEGINNINGS))


def _simple_request(rng: random.Random, message: Message) -> Message:
    """HTTP/0.9, and request lines that stand alone."""
    line = rng.choice((b"GET /", b"GET / ", b"GET", b"GET /\x00", b"/", b"GET / HTTP/1.1\r\nhost: gateway"))
    return replace(message, line=line, headers=() if rng.random() < 0.7 else message.headers)


def _very_long(rng: random.Random, message: Message) -> Message:
    size = rng.choice((5_000, 16_300, 20_000, 70_000))
    kind = rng.randrange(6)
    if kind == 0:
        return replace(message, headers=(*message.headers, b"x-long: " + b"a" * size))
    if kind == 1:
        return replace(message, headers=(*message.headers, b"a" * size + b": b"))
    if kind == 2:
        return replace(message, line=message.line.replace(b"/", b"/" + b"a" * size, 1))
    if kind == 3:
        return replace(message, headers=(*message.headers, *[b"x-%d: b" % at for at in range(size // 10)]))
    headers = (*_without(message, b"transfer-encoding", b"content-length"), b"Transfer-Encoding: chunked")
    if kind == 4:
        return replace(message, headers=headers, payload=b"1;" + b"a" * size + b"\r\nx\r\n0\r\n\r\n")
    return replace(message, headers=headers, payload=b"0\r\nx-long: " + b"a" * size + b"\r\n\r\n")


def _upgrading(rng: random.Random, message: Message) -> Message:
    """An upgrade beside whatever else is wrong."""
    return replace(message, headers=(*_without(message, b"connection"), *upgrade(rng)))


_DAMAGES: tuple[Damage, ...] = (
    *(_odd_length, _odd_length, _odd_encoding, _odd_encoding, _odd_name, _odd_header, _odd_header, _no_host),
    *(_odd_line, _odd_line, _odd_line_end, _odd_line_end, _odd_chunk, _odd_chunk, _odd_trailer, _odd_payload),
    *(_odd_payload, _odd_beginning, _simple_request, _very_long, _upgrading, _upgrading),
)


def _scrambled(rng: random.Random, wire: bytes) -> bytes:
    """Bytes flipped, cut out, doubled and put in, mostly in the first thousand."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randint(0, min(len(wire), 1_000))
        end = min(len(wire), start + rng.choice((0, 1, 1, 2, 10)))
        middle = rng.choice(
            (b"", wire[start:end] * 2, rng.choice(ODD_BYTES), rng.randbytes(end - start), rng.randbytes(2))
        )
        if rng.random() < 0.2 and start < len(wire):
            end, middle = start + 1, bytes([wire[start] ^ (1 << rng.randrange(8))])
        wire = wire[:start] + middle + wire[end:]
    return wire


def _rearranged(rng: random.Random, wires: list[bytes]) -> list[bytes]:
    """A slice of a request stands in it twice, or in another, or the last one is not whole."""
    wires = list(wires)
    at = rng.randrange(len(wires))
    wire = wires[at]
    start = rng.randint(0, len(wire))
    end = min(len(wire), start + rng.choice((5, 40, 400)))
    kind = rng.randrange(3)
    if kind == 0:
        wires[at] = wire[:end] + wire[start:]
    elif kind == 1:
        other = rng.randrange(len(wires))
        point = rng.randint(0, len(wires[other]))
        wires[other] = wires[other][:point] + wire[start:end] + wires[other][point:]
    else:
        wires[-1] = wires[-1][: rng.randint(0, len(wires[-1]))]
    return wires
