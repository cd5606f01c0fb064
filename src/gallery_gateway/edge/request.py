"""One HTTP request to the endpoint: its headers, its body under a bound, its deadline."""

import math
import re

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gallery_gateway.edge.headers import read_headers, request_id
from gallery_gateway.edge.policy import Guard, has_token
from gallery_gateway.edge.replay import REMEMBER, Remember
from gallery_gateway.errors import RequestError

# Clients send documents of a few KiB; a document and its variables have limits of their own.
MAX_BODY_BYTES = 256 * 1024


async def read_body(receive: Receive, announced: bytes | None, *, max_bytes: int) -> bytes:
    """The whole body; `announced` is the Content-Length.

    Raises:
        RequestError: 413, it is larger than `max_bytes`.
        ClientDisconnect: the client has gone.
    """
    # What is announced as too large need not be sent at all.
    if announced and announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    return await _read_on(receive, bytearray(body), max_bytes=max_bytes)


async def _read_on(receive: Receive, body: bytearray, *, max_bytes: int) -> bytes:
    more_body = True
    while more_body:
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        more_body = message.get("more_body", False)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(f"The body is larger than {max_bytes} bytes.", status=413)


_UNITS = ((b"x-request-timeout", 1.0), (b"x-envoy-expected-rq-timeout-ms", 0.001))

_NUMBER = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")


def timeout_seconds(headers: dict[bytes, bytes]) -> float:
    """The shortest that the headers name; infinite if they name none. 0 is none, as it is for Envoy."""
    shortest = math.inf
    for name, unit in _UNITS:
        value = headers.get(name)
        if value is not None and _NUMBER.fullmatch(value):
            shortest = min(shortest, float(value) * unit or math.inf)
    return shortest


# Whatever says which document is asked for; `extensions` may have the hash of one.
_HAS_DOCUMENT = re.compile(rb"(^|&)(query|documentId|doc_id|extensions)(=|&|$)")


class Exchange:
    """Made of what comes before the body; the body is set once it was read."""

    __slots__ = ("body", "decision", "headers", "identifier", "method", "query_string", "remember")

    def __init__(self, scope: Scope, guard: Guard) -> None:
        self.method: str = scope["method"]
        self.query_string: bytes = scope["query_string"]
        self.headers, repeated = read_headers(scope["headers"])
        is_visit = self.method == "GET" and not _HAS_DOCUMENT.search(self.query_string)
        self.decision = guard.decision(self.method, self.headers, repeated=repeated, is_visit=is_visit)
        self.identifier = request_id(self.headers.get(b"x-request-id"))
        self.remember: Remember | None = scope.get("extensions", {}).get(REMEMBER, {}).get(REMEMBER)
        self.body = b""


def check_address(exchange: Exchange) -> None:
    """Raises: RequestError: there is a token in it, and so in the logs of whatever it came through."""
    if exchange.query_string and has_token(exchange.query_string):
        raise RequestError("Send the token in the Authorization header, never in the address.")
