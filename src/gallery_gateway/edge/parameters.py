"""The GraphQL request in an HTTP body or a query string (GraphQL over HTTP, request parameters)."""

from typing import Any, TypeVar
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
    # Relay's name for it.
    doc_id: str | None = msgspec.field(default=None, name="doc_id")


class _PersistedQuery(msgspec.Struct):
    version: int
    sha256_hash: str = msgspec.field(name="sha256Hash")


_Decoded = TypeVar("_Decoded")

_TEXTS = ("query", "operationName", "documentId", "doc_id")
_decoder = msgspec.json.Decoder(_Parameters)
_batch_decoder = msgspec.json.Decoder(list[_Parameters])


def parse_body(body: bytes) -> GraphQLRequest:
    """Raises: RequestError: not JSON, or not a GraphQL request."""
    return _request(_decoded(_decoder, body))


def is_batch(body: bytes) -> bool:
    return body[:64].lstrip(b" \t\r\n").startswith(b"[")


def parse_batch(body: bytes, *, max_operations: int) -> list[GraphQLRequest]:
    """Raises: RequestError: not a list of GraphQL requests, an empty one, or one that is too long."""
    if not max_operations:
        raise RequestError("Send one operation in a request: batches are switched off.")
    batch = _decoded(_batch_decoder, body)
    if not batch:
        raise RequestError("There is no operation in the batch.")
    if len(batch) > max_operations:
        raise RequestError(
            f"A batch may have {max_operations} operations (BATCH_MAX_OPERATIONS).",
            status=413,
        )
    return [_request(parameters) for parameters in batch]


def _decoded(decoder: msgspec.json.Decoder[_Decoded], body: bytes) -> _Decoded:
    """Raises: RequestError: not JSON, or not what the decoder knows."""
    try:
        # msgspec does not look into members that it has no use for.
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        raise RequestError(f"The body is not a GraphQL request: {exc}.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as exc:
        raise RequestError("The body is not JSON in UTF-8.") from exc
    except RecursionError as exc:
        raise RequestError("The body is nested too deeply.") from exc


def parse_query(query_string: bytes) -> GraphQLRequest:
    """Raises: RequestError: not a GraphQL request, or a parameter that is given twice."""
    named = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    given = dict(named)
    if len(given) < len(named):
        raise RequestError("Send each parameter once.")
    members: dict[str, object] = {name: given[name] for name in _TEXTS if name in given}
    members |= {name: _parse_map(name, given.get(name)) for name in ("variables", "extensions")}
    try:
        parameters = msgspec.convert(members, _Parameters)
    except msgspec.ValidationError as exc:
        raise RequestError(f"This is not a GraphQL request: {exc}.") from exc
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
        raise RequestError("There is no document: send `query`, or the id of a persisted one.")
    return GraphQLRequest(
        query=parameters.query,
        operation_name=parameters.operation_name or None,
        variables=parameters.variables,
        document_id=document_id,
    )


def _persisted_hash(extension: object) -> str | None:
    """Apollo's way to ask for a document: `{"version": 1, "sha256Hash": "..."}`."""
    if extension is None:
        return None
    try:
        persisted = msgspec.convert(extension, _PersistedQuery)
    except msgspec.ValidationError as exc:
        raise RequestError(f"`extensions.persistedQuery` is not one: {exc}.") from exc
    if persisted.version != 1:
        raise RequestError("Unsupported persisted query version")
    return persisted.sha256_hash
