"""One HTTP request to the endpoint: what is read of it, and the terms of its answer."""

import re

from starlette.types import Scope

from gallery_gateway.edge.guard import Guard
from gallery_gateway.edge.headers import read_headers, request_id
from gallery_gateway.edge.rules import has_token
from gallery_gateway.edge.verbatim import REMEMBER, Remember
from gallery_gateway.errors import RequestError

# Whatever says which document is asked for; `extensions` may have the hash of one.
_HAS_DOCUMENT = re.compile(rb"(^|&)(query|documentId|doc_id|extensions)(=|&|$)")


class Exchange:
    """Made of what comes before the body; the body is set once it was read."""

    __slots__ = ("body", "headers", "identifier", "method", "query_string", "remember", "terms")

    def __init__(self, scope: Scope, guard: Guard) -> None:
        self.method: str = scope["method"]
        self.query_string: bytes = scope["query_string"]
        self.headers, repeated = read_headers(scope["headers"])
        is_visit = self.method == "GET" and not _HAS_DOCUMENT.search(self.query_string)
        self.terms = guard.terms(self.method, self.headers, repeated=repeated, is_visit=is_visit)
        self.identifier = request_id(self.headers.get(b"x-request-id"))
        self.remember: Remember | None = scope.get("extensions", {}).get(REMEMBER, {}).get(REMEMBER)
        self.body = b""


def check_address(exchange: Exchange) -> None:
    """Raises: RequestError: there is a token in it, and so in the logs of whatever it came through."""
    if exchange.query_string and has_token(exchange.query_string):
        raise RequestError("Send the token in the Authorization header, never in the address.")
