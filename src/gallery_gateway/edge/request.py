"""One HTTP request of a client: its headers, its body, and the GraphQL request in it."""

import math
import re
import secrets
from collections.abc import Iterable
from itertools import accumulate, count
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gallery_gateway.edge.responses import RawHeader
from gallery_gateway.errors import RequestError
from gallery_gateway.execution.persisted import GraphQLRequest

# Documents have 32 KiB at most by default; the rest is for variables, which have limits of their own.
MAX_BODY_BYTES = 256 * 1024

# The headers that a response depends on. Of requests with equal values, one may be answered with the response
# to the other. A header that is read anywhere belongs here, unless it has a reason to stand below.
KEYED_HEADERS = tuple(
    b"authorization accept content-type content-encoding cache-control connection host origin"
    b" x-gateway-report access-control-request-method access-control-request-headers"
    b" apollo-require-preflight x-apollo-operation-name".split()
)
# No other header is read: proxies add whatever they like. Of these, the response depends on none: the body is
# known, the id is echoed, an ETag is compared each time, and a response that is there needs no time.
_READ_HEADERS = frozenset(KEYED_HEADERS).union(
    b"content-length x-request-id if-none-match x-request-timeout x-envoy-expected-rq-timeout-ms"
    b" traceparent tracestate".split()
)

# Levels of objects and lists in the JSON of a request.
MAX_NESTING = 256
# Strings, which may contain brackets, and everything else between brackets.
_NO_BRACKETS = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"|[^][{}"]++)++', re.DOTALL)

# Proxies and servers may disagree about which value counts if one of them is repeated (RFC 9110, 5.3).
_SINGLE = frozenset(
    b"authorization content-encoding content-length content-type host origin x-gateway-report".split()
)
# RFC 6750, section 2.1, and RFC 9110, section 11.1: the scheme in any case, one token without spaces.
_BEARER = re.compile(rb"[ \t]*bearer +([\x21-\x7e]+)[ \t]*", re.IGNORECASE)
_TOKEN_NAME = re.compile("(access|auth|bearer|id)?token|x?apikey|auth|authorization|bearer|jwt")
_TIMEOUT_UNITS = ((b"x-request-timeout", 1.0), (b"x-envoy-expected-rq-timeout-ms", 0.001))
_NUMBER = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")
_REQUEST_ID = re.compile(rb"[ \t]*([A-Za-z0-9._-]{1,128})[ \t]*")
# msgspec's messages have the names of Python.
_JSON_TYPES = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}
_PYTHON_TYPE = re.compile(rf"\b({'|'.join(_JSON_TYPES)})\b")
# Unique without asking the system for randomness at each request.
_PROCESS = secrets.token_hex(8).encode()
_numbers = count(1)


class Headers(dict[bytes, bytes]):
    """The headers that are read, by name; `repr` shows no values, since one of them is a token."""

    def __repr__(self) -> str:
        return f"Headers({b', '.join(self).decode('latin-1')})"


class HTTPRequest:
    """A request, at first without its body.

    Attributes:
        repeated_header: the name of a header that came twice and must not; None if there is none.
        id: the value of `X-Request-ID` in the response and in log lines.
    """

    __slots__ = ("body", "headers", "id", "method", "query_string", "repeated_header", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.query_string: bytes = scope["query_string"]
        self.headers, self.repeated_header = read_headers(scope["headers"])
        self.id = request_id(self.headers.get(b"x-request-id"))
        self.body = b""

    @property
    def target(self) -> bytes:
        """The path, and the query string if there is one."""
        path: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        return b"%b?%b" % (path, self.query_string) if self.query_string else path

    @property
    def timeout_seconds(self) -> float:
        """The shortest timeout in the headers; infinite without one. 0 means none, as in Envoy."""
        shortest = math.inf
        for name, unit in _TIMEOUT_UNITS:
            value = self.headers.get(name)
            if value is not None and _NUMBER.fullmatch(value):
                shortest = min(shortest, float(value) * unit or math.inf)
        return shortest

    def token(self) -> str | None:
        """Return the bearer token, or None if there is none or the scheme is another.

        Raises:
            RequestError: the URL contains a token.
        """
        self.check_url()
        authorization = self.headers.get(b"authorization")
        match = _BEARER.fullmatch(authorization) if authorization else None
        return match[1].decode() if match else None

    def check_url(self) -> None:
        """Raise `RequestError` if the URL contains a token: proxies write URLs to their logs."""
        if not self.query_string:
            return
        for name, _ in parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True):
            if _TOKEN_NAME.fullmatch(name.lower().replace("_", "").replace("-", "")):
                raise RequestError("Send the token in the Authorization header, not in the URL.")

    async def read_body(self, receive: Receive) -> None:
        """Read the complete body.

        Raises:
            RequestError: 413, the body is larger than `MAX_BODY_BYTES`.
            ClientDisconnect: the client closed the connection.
        """
        length = self.headers.get(b"content-length", b"")
        # A body announced as too large is not read at all. Unlike int, float takes any number of digits.
        is_too_large = length.isdigit() and float(length) > MAX_BODY_BYTES
        body, more_body = bytearray(), True
        while more_body and not is_too_large:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            body += message.get("body", b"")
            more_body = message.get("more_body", False)
            is_too_large = len(body) > MAX_BODY_BYTES
        if is_too_large:
            raise RequestError(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
        self.body = bytes(body)

    def operation(self) -> GraphQLRequest:
        """Return the GraphQL request in the body of a POST, or in the query string of a GET.

        Raises:
            RequestError: there is none, or it is malformed.
        """
        is_post = self.method == "POST"
        parameters = _parse_body(self.body) if is_post else _parse_query_string(self.query_string)
        document_id = parameters.document_id or parameters.doc_id
        if parameters.extensions and document_id is None:
            document_id = _persisted_hash(parameters.extensions.get("persistedQuery"))
        if parameters.query is None and document_id is None:
            raise RequestError(
                "The request has no document: send `query`, or the id of a persisted document."
            )
        return GraphQLRequest(
            query=parameters.query,
            operation_name=parameters.operation_name or None,
            variables=parameters.variables,
            document_id=document_id,
        )


def request_id(client_id: bytes | None) -> bytes:
    """Return the client's own `X-Request-ID` if it is a plain one, else a new id."""
    plain = _REQUEST_ID.fullmatch(client_id) if client_id else None
    return plain[1] if plain else b"%b-%x" % (_PROCESS, next(_numbers))


def read_headers(raw: Iterable[RawHeader]) -> tuple[Headers, bytes | None]:
    """Return the headers that are read, and the name of one that came twice and must not."""
    headers, repeated = Headers(), None
    for name, value in raw:
        if name not in _READ_HEADERS:
            continue
        if name in headers:
            repeated = name if name in _SINGLE else repeated
            # Values of one name make a list (RFC 9110, section 5.3).
            headers[name] = headers[name] + b", " + value
        else:
            headers[name] = value
    return headers, repeated


class _Parameters(msgspec.Struct, rename="camel"):
    """The request parameters of GraphQL over HTTP."""

    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None
    document_id: str | None = None
    # Relay's name of `documentId`.
    doc_id: str | None = msgspec.field(default=None, name="doc_id")


_decoder = msgspec.json.Decoder(_Parameters)


def _parse_body(body: bytes) -> _Parameters:
    try:
        # msgspec does not check the encoding of members that it skips.
        if not body.isascii():
            body.decode()
        parameters = _decoder.decode(body)
        _check_nesting(body)
    except msgspec.ValidationError as exc:
        if body.lstrip().startswith(b"["):
            raise RequestError("Send one operation as a JSON object: batching is not offered.") from exc
        raise RequestError(f"The body is not a GraphQL request: {_in_json_terms(exc)}.") from exc
    except (msgspec.DecodeError, ValueError) as exc:
        raise RequestError("The body is not JSON in UTF-8.") from exc
    except RecursionError as exc:
        raise RequestError("The body is nested too deeply.") from exc
    return parameters


def _in_json_terms(error: msgspec.ValidationError) -> str:
    return _PYTHON_TYPE.sub(lambda found: _JSON_TYPES[found[0]], str(error))


def _parse_query_string(query_string: bytes) -> _Parameters:
    named = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    members: dict[str, Any] = dict(named)
    if len(members) < len(named):
        raise RequestError("Send each parameter only once.")
    for name in ("variables", "extensions"):
        try:
            text = members.get(name) or "null"
            members[name] = msgspec.json.decode(text, type=dict[str, Any] | None)
            _check_nesting(text.encode())
        except (msgspec.DecodeError, ValueError, RecursionError) as exc:
            raise RequestError(f"`{name}` is not a JSON object.") from exc
    try:
        return msgspec.convert(members, _Parameters)
    except msgspec.ValidationError as exc:
        raise RequestError(f"The query string is not a GraphQL request: {_in_json_terms(exc)}.") from exc


def _check_nesting(text: bytes) -> None:
    """Raise `RecursionError` if JSON has more than `MAX_NESTING` levels.

    The bound of msgspec is that of Python's stack, and from Python 3.14 on that of C's: some 10,000 levels.
    """
    # Most texts have fewer brackets altogether.
    if text.count(b"{") + text.count(b"[") <= MAX_NESTING:
        return
    steps = (1 if bracket in b"{[" else -1 for bracket in _NO_BRACKETS.sub(b"", text))
    if max(accumulate(steps)) > MAX_NESTING:
        raise RecursionError


class _PersistedQuery(msgspec.Struct):
    version: int
    sha256_hash: str = msgspec.field(name="sha256Hash")


def _persisted_hash(extension: object) -> str | None:
    """Return the hash in Apollo's extension: `{"version": 1, "sha256Hash": "..."}`."""
    if extension is None:
        return None
    try:
        persisted = msgspec.convert(extension, _PersistedQuery)
    except msgspec.ValidationError as exc:
        raise RequestError(f"`extensions.persistedQuery` is invalid: {_in_json_terms(exc)}.") from exc
    if persisted.version != 1:
        raise RequestError("Unsupported persisted query version")
    return persisted.sha256_hash
