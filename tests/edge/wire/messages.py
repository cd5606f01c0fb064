"""Valid requests of every framing, as their parts on the wire."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """One request as its parts on the wire.

    Args:
        before: bytes in front of the request line.
        headers: whole lines without their ends.
        payload: the body as it is framed.
        body: what the payload holds.
    """

    line: bytes
    headers: tuple[bytes, ...]
    payload: bytes = b""
    body: bytes = b""
    before: bytes = b""

    @property
    def head(self) -> bytes:
        return self.before + CRLF.join([self.line, *self.headers, b"", b""])

    @property
    def wire(self) -> bytes:
        return self.head + self.payload

    @property
    def method(self) -> bytes:
        return split(self.line)[0]

    @property
    def target(self) -> bytes:
        return split(self.line)[1]


def split(line: bytes) -> tuple[bytes, bytes, bytes]:
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    return method, target, version


_METHODS = (b"GET", b"POST", b"POST", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"PROPFIND")
_TARGETS = (
    *(b"/", b"/graphql", b"/graphql?query=%7B__typename%7D", b"/?a=b?c", b"//double/slash", b"/%2e%2e/x"),
    *(b"/a;b=c", b"http://gateway/graphql", b"http://gateway/graphql?a=b", b"https://other.example:8443/x"),
)
_EXTRA_HEADERS = (
    *(b"accept: */*", b"Accept-Encoding: gzip", b"X-Empty:", b"x-tab:\tb\t", b"X-Latin: caf\xe9"),
    *(b"TE: trailers", b"Cookie: a=b; c=d", b"Keep-Alive: timeout=5", b"Trailer: x-checksum"),
    *(b"x-spaces:   a  b   ", b"Content-Type: application/json", b"Via: 1.1 proxy", b"X-Content-Length: 5"),
    *(b"authorization: Bearer x", b"Transfer-Encodings: chunked", b"x-a: Transfer-Encoding: chunked"),
    *(b"Content-Length-: 7",),
)
_UPGRADE_TOKENS = (
    *(b"websocket", b"h2c", b"TLS/1.2", b"TLS/1.2, HTTP/1.1", b"foo", b"HTTP/2.0", b"h2c, websocket"),
    *(b"WebSocket", b"IRC/6.9", b""),
)
_UPGRADE_CONNECTIONS = (
    *(b"upgrade", b"Upgrade", b"UPGRADE", b"Upgrade, HTTP2-Settings", b"keep-alive, Upgrade"),
    *(b"upgrade,keep-alive", b"HTTP2-Settings , upgrade", b"keep-alive"),
)
_HTTP2_SETTINGS = b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"
_EXTENSIONS = (b"", b"", b"", b";a", b";a=b", b';a="b"', b";a=b;c=d", b';q="x y"')
TRAILERS = (b"x-checksum: 1", b"X-Trailer: a b", b"authorization: Bearer trailer", b"host: trailer", b"x-e:")
SMUGGLED = b"POST /smuggled HTTP/1.1\r\nhost: gateway\r\ncontent-length: 3\r\n\r\nabc"


def valid_message(rng: random.Random) -> Message:
    """A request that any server may keep the connection after."""
    method, target = rng.choice(_METHODS), rng.choice(_TARGETS)
    if method == b"OPTIONS" and rng.random() < 0.4:
        target = b"*"
    headers = [b"host: gateway", *rng.sample(_EXTRA_HEADERS, rng.choice((0, 0, 1, 2, 5)))]
    if rng.random() < 0.8:
        # Only requests with a token are replayed.
        headers.append(b"authorization: Bearer a")
    if rng.random() < 0.35:
        headers += upgrade(rng)
    elif rng.random() < 0.2:
        headers.append(rng.choice((b"Connection: keep-alive", b"connection: Keep-Alive, TE", b"Connection:")))
    if rng.random() < 0.08:
        headers.append(rng.choice((b"Expect: 100-continue", b"expect: 100-Continue")))
    framing, payload, body = _framed(rng, method)
    headers += framing
    rng.shuffle(headers)
    headers = [_recased(rng, header) for header in headers]
    return Message(b"%b %b HTTP/1.1" % (method, target), tuple(headers), payload, body)


def upgrade(rng: random.Random) -> list[bytes]:
    headers = [b"Upgrade: " + rng.choice(_UPGRADE_TOKENS)]
    if rng.random() < 0.9:
        headers.append(b"Connection: " + rng.choice(_UPGRADE_CONNECTIONS))
    if rng.random() < 0.1:
        headers.append(b"Upgrade: " + rng.choice(_UPGRADE_TOKENS))
    if rng.random() < 0.3:
        headers.append(_HTTP2_SETTINGS)
    return headers


def _framed(rng: random.Random, method: bytes) -> tuple[list[bytes], bytes, bytes]:
    """The headers that frame a body, its payload, and the body."""
    kind = rng.random()
    if kind < (0.6 if method in {b"GET", b"HEAD", b"OPTIONS"} else 0.15):
        return [], b"", b""
    body = _body(rng)
    if kind < 0.75:
        length = b"%d" % len(body)
        return [b"Content-Length: " + rng.choice((length, length, length, b"00" + length))], body, body
    chunks, rest = [], body
    while rest:
        size = rng.choice((1, 2, 10, 16, 100, 4096, len(body)))
        chunk, rest = rest[:size], rest[size:]
        digits = rng.choice((b"%x", b"%x", b"%X", b"0%x", b"0000%x")) % len(chunk)
        chunks.append(digits + rng.choice(_EXTENSIONS) + CRLF + chunk + CRLF)
        if len(chunks) > 40:
            size = len(rest)
            chunks += [b"%x\r\n%b\r\n" % (size, rest)] if rest else []
            break
    last = rng.choice((b"0", b"0", b"000")) + rng.choice(_EXTENSIONS)
    trailers = rng.sample(TRAILERS, rng.choice((0, 0, 0, 1, 2)))
    payload = b"".join(chunks) + CRLF.join([last, *trailers, b"", b""])
    return (
        [b"Transfer-Encoding: " + rng.choice((b"chunked", b"chunked", b"Chunked", b"CHUNKED"))],
        payload,
        body,
    )


def _body(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return b""
    if kind < 0.4:
        return SMUGGLED
    if kind < 0.5:
        return b"0\r\n\r\n" + SMUGGLED
    if kind < 0.52:
        return rng.randbytes(1000) * rng.choice((17, 70, 140))
    return rng.randbytes(rng.choice((1, 2, 5, 30, 300)))


def _recased(rng: random.Random, header: bytes) -> bytes:
    name, colon, value = header.partition(b":")
    change: Callable[[bytes], bytes] = rng.choice((bytes, bytes, bytes.lower, bytes.upper, bytes.title))
    return change(name) + colon + value


def closing(rng: random.Random, message: Message) -> Message:
    """The request as one that ends the connection."""
    kept = tuple(header for header in message.headers if not header.lower().startswith(b"connection:"))
    if rng.random() < 0.3 and b"chunked" not in message.head.lower():
        return replace(message, line=message.line.replace(b"HTTP/1.1", b"HTTP/1.0"))
    value = rng.choice((b"close", b"Close", b"close, upgrade", b"TE, close"))
    return replace(message, headers=(*kept, b"Connection: " + value))
