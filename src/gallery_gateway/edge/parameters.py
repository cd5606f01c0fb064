"""Parses the GraphQL request in a body or a query string (GraphQL over HTTP, request parameters)."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gallery_gateway.errors import RequestError
from gallery_gateway.execution.persisted import GraphQLRequest


class _Parameters(msgspec.Struct, rename="camel"):
    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None
    document_id: str | None = None
    # Relay's name of `documentId`.
    doc_id: str | None = msgspec.field(default=None, name="doc_id")


class _PersistedQuery(msgspec.Struct):
    version: int
    sha256_hash: str = msgspec.field(name="sha256Hash")


_TEXTS = ("query", "operationName", "documentId", "doc_id")
_decoder = msgspec.json.Decoder(_Parameters)


def parse_body(body: bytes) -> GraphQLRequest:
    """Return the GraphQL request in a body.

    Raises:
        RequestError: the body is not JSON, or not a GraphQL request.
    """
    try:
        # msgspec does not check the encoding of members that it skips.
        if not body.isascii():
            body.decode()
        parameters = _decoder.decode(body)
    except msgspec.ValidationError as exc:
        if body.lstrip().startswith(b"["):
            raise RequestError("Send one operation as a JSON object: batching is not offered.") from exc
        raise RequestError(f"The body is not a GraphQL request: {exc}.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as exc:
        raise RequestError("The body is not JSON in UTF-8.") from exc
    except RecursionError as exc:
        raise RequestError("The body is nested too deeply.") from exc
    return _request(parameters)


def parse_query(query_string: bytes) -> GraphQLRequest:
    """Return the GraphQL request in a query string.

    Raises:
        RequestError: it is not a GraphQL request, or repeats a parameter.
    """
    named = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    given = dict(named)
    if len(given) < len(named):
        raise RequestError("Send each parameter only once.")
    members: dict[str, object] = {name: given[name] for name in _TEXTS if name in given}
    members |= {name: _parse_map(name, given.get(name)) for name in ("variables", "extensions")}
    try:
        parameters = msgspec.convert(members, _Parameters)
    except msgspec.ValidationError as exc:
        raise RequestError(f"The query string is not a GraphQL request: {exc}.") from exc
    return _request(parameters)


def _parse_map(name: str, text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | None)
    except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError) as exc:
        raise RequestError(f"`{name}` is not a JSON object.") from exc


def _request(parameters: _Parameters) -> GraphQLRequest:
    document_id = parameters.document_id or parameters.doc_id
    if parameters.extensions and document_id is None:
        document_id = _persisted_hash(parameters.extensions.get("persistedQuery"))
    if parameters.query is None and document_id is None:
        raise RequestError("The request has no document: send `query`, or the id of a persisted document.")
    return GraphQLRequest(
        query=parameters.query,
        operation_name=parameters.operation_name or None,
        variables=parameters.variables,
        document_id=document_id,
    )


def _persisted_hash(extension: object) -> str | None:
    """Return the hash in Apollo's extension: `{"version": 1, "sha256Hash": "..."}`."""
    if extension is None:
        return None
    try:
        persisted = msgspec.convert(extension, _PersistedQuery)
    except msgspec.ValidationError as exc:
        raise RequestError(f"`extensions.persistedQuery` is invalid: {exc}.") from exc
    if persisted.version != 1:
        raise RequestError("Unsupported persisted query version")
    return persisted.sha256_hash
