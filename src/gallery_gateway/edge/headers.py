"""Headers of requests and responses, as ASGI has them, and those that protect browsers."""

import re
import secrets
from collections.abc import Iterable
from itertools import count

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RawHeader = tuple[bytes, bytes]
"""A name in lower case, and a value."""

# RFC 6750, section 2.1, and RFC 9110, section 11.1: the scheme in any case, one token without spaces.
_BEARER = re.compile(rb"[ \t]*bearer +([\x21-\x7e]+)[ \t]*", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[ \t]*([A-Za-z0-9._-]{1,128})[ \t]*")
# Unique without asking the system for randomness each time.
_PROCESS = secrets.token_hex(8).encode()
_numbers = count(1)

# What proxies and servers may understand in two ways when it comes twice (RFC 9110, section 5.3).
_SINGLE = frozenset(
    {b"authorization", b"content-encoding", b"content-length", b"content-type", b"host", b"origin"}
)


class Headers(dict[bytes, bytes]):
    """Headers by name; shown without their values, since a token is one of them."""

    def __repr__(self) -> str:
        return f"Headers({b', '.join(self).decode('latin-1')})"


def read_headers(raw: list[RawHeader]) -> tuple[Headers, bytes | None]:
    """The headers, and the name of one that came twice and must not."""
    headers = Headers(raw)
    if len(headers) == len(raw):
        return headers, None
    return _joined(raw)


def head_lines(headers: Iterable[RawHeader]) -> bytes:
    """Headers as HTTP/1.1 has them (RFC 9112, section 5), each with the end of its line."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def request_id(given: bytes | None) -> bytes:
    """The client's own `X-Request-ID` where it is a plain one, else a new one."""
    plain = _REQUEST_ID.fullmatch(given) if given else None
    return plain[1] if plain else b"%b-%x" % (_PROCESS, next(_numbers))


def bearer_token(authorization: bytes | None) -> str | None:
    """The token of the Authorization header; None if there is none, or one of another scheme."""
    match = _BEARER.fullmatch(authorization) if authorization else None
    return match[1].decode() if match else None


def _joined(raw: Iterable[RawHeader]) -> tuple[Headers, bytes | None]:
    """Values of one name make a list (RFC 9110, section 5.3)."""
    headers = Headers()
    repeated = None
    for name, value in raw:
        if name in headers:
            repeated = name if name in _SINGLE else repeated
            headers[name] = headers[name] + b", " + value
        else:
            headers[name] = value
    return headers, repeated


def shield_headers(*, hsts_max_age_seconds: int = 0) -> tuple[RawHeader, ...]:
    """For responses that are no pages: they load nothing, and stand in no frame."""
    headers: list[RawHeader] = [
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if hsts_max_age_seconds:
        headers.append((b"strict-transport-security", b"max-age=%d" % hsts_max_age_seconds))
    return tuple(headers)


class ResponseHeaders:
    """An app whose responses have the headers, unless they have their own of that name."""

    def __init__(self, app: ASGIApp, headers: tuple[RawHeader, ...]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_headers(list(message.get("headers", ())), self._headers)
            await send(message)

        await self._app(scope, receive, send_shielded)


def with_headers(headers: list[RawHeader], added: tuple[RawHeader, ...]) -> list[RawHeader]:
    own = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in added if header[0] not in own)]
