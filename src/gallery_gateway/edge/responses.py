"""HTTP responses of the GraphQL endpoint, with their caching and security headers."""

import hashlib
import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from starlette.types import Scope, Send

from gallery_gateway.errors import BUG_CODE, BUG_MESSAGE
from gallery_gateway.telemetry.logs import log_event

RawHeader = tuple[bytes, bytes]
"""A header as ASGI has it: the name in lower case, and the value."""

NO_STORE: RawHeader = (b"cache-control", b"no-store")

SEND_AT_ONCE = "gallery_gateway.send_at_once"
"""The key, in the state of a request, of a server's function that sends a complete response if it can."""

# RFC 9110, section 8.8.3.
_TAG = re.compile(rb'"[^"]*"')


class HTTPResponse(NamedTuple):
    """A complete response."""

    status: int
    headers: list[RawHeader]
    body: bytes


def head_lines(headers: Iterable[RawHeader]) -> bytes:
    """Return the header lines of HTTP/1.1 (RFC 9112, section 5), each with its line end."""
    return b"\r\n".join([*map(b": ".join, headers), b""])


def security_headers(*, hsts_max_age_seconds: int = 0) -> tuple[RawHeader, ...]:
    """Return headers for responses that are not pages: a browser loads nothing for them and frames none."""
    headers: list[RawHeader] = [
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if hsts_max_age_seconds:
        headers.append((b"strict-transport-security", b"max-age=%d" % hsts_max_age_seconds))
    return tuple(headers)


def with_headers(headers: Iterable[RawHeader], added: Iterable[RawHeader]) -> list[RawHeader]:
    """Return `headers` followed by those of `added` whose names they do not contain."""
    headers = list(headers)
    names = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in added if header[0] not in names)]


def freshness_headers(*, remaining_seconds: float, age_seconds: float) -> tuple[RawHeader, ...]:
    """Return `Cache-Control` and `Age`; `max-age` less `Age` is the remaining freshness (RFC 9111, 4.2).

    Args:
        remaining_seconds: freshness of the page that expires first; infinite if the response used no page.
        age_seconds: age of the oldest page in the response.
    """
    if math.isinf(remaining_seconds):
        return ((b"cache-control", b"private, max-age=0"),)
    age = int(age_seconds)
    remaining = math.floor(remaining_seconds)
    max_age = age + remaining if remaining >= 0 else 0
    return (b"cache-control", b"private, max-age=%d" % max_age), (b"age", b"%d" % age)


def error_response(
    status: int, message: str, extensions: Mapping[str, object], head: Iterable[RawHeader]
) -> HTTPResponse:
    """Return the response to a request that was not executed."""
    content = {"errors": [{"message": message, "extensions": extensions}]}
    return HTTPResponse(status, [*head, NO_STORE], msgspec.json.encode(content))


def bug_response(error: Exception, request_id: str, head: Iterable[RawHeader]) -> HTTPResponse:
    """Log a bug with its traceback, and return a response that only names the request."""
    log_event("request.bug", level=logging.ERROR, error=error, request_id=request_id)
    extensions = {"code": BUG_CODE, "requestId": request_id}
    return error_response(500, BUG_MESSAGE, extensions, head)


def etag_of(body: bytes) -> bytes:
    """Return a validator of a response's body without its extensions.

    It is weak: responses that differ in their extensions, or in the compression of a proxy, share it.
    """
    return b'W/"%b"' % hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def unless_known(response: HTTPResponse, if_none_match: bytes | None) -> HTTPResponse:
    """Return the response, or 304 if the client has what its ETag names (RFC 9110, section 13.1.2)."""
    etag = dict(response.headers).get(b"etag") if if_none_match is not None else None
    if if_none_match is None or etag is None:
        return response
    # By weak comparison, which ignores `W/`. A tag may hold commas.
    if if_none_match.strip() != b"*" and etag.removeprefix(b"W/") not in _TAG.findall(if_none_match):
        return response
    headers = [header for header in response.headers if not header[0].startswith(b"content-")]
    return HTTPResponse(304, headers, b"")


async def send_response(scope: Scope, send: Send, response: HTTPResponse, *, request_id: bytes) -> None:
    status, headers, body = response
    headers.append((b"x-request-id", request_id))
    # RFC 9110, section 8.6: a 204 has no length, and a 304 only that of the 200.
    if status not in {204, 304}:
        headers.append((b"content-length", b"%d" % len(body)))
    send_at_once = scope.get("state", {}).get(SEND_AT_ONCE)
    if send_at_once is not None and send_at_once(send, *response):
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
