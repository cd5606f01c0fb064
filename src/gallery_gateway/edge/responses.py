"""HTTP responses with a GraphQL response in them."""

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from gallery_gateway.edge import negotiation
from gallery_gateway.edge.caching import NO_STORE, etag_of, freshness_headers, is_known
from gallery_gateway.errors import RequestError
from gallery_gateway.execution.executor import Answer
from gallery_gateway.gallery.ledger import Ledger


def answered(answer: Answer, body: bytes, ledger: Ledger, media_type: str | None) -> Response:
    """An operation's answer; with any error in it, nobody is to keep it."""
    # Under application/json a well-formed request is always answered with 200.
    is_refused = answer.is_request_error and media_type == negotiation.GRAPHQL_RESPONSE
    return _response(
        body,
        status=400 if is_refused else 200,
        media_type=media_type,
        caching=NO_STORE
        if answer.has_errors
        else freshness_headers(remaining_seconds=ledger.remaining_seconds, age_seconds=ledger.age_seconds),
    )


def answered_again(kept: tuple[bytes, float, float], media_type: str | None) -> Response:
    """An answer without errors that was given before, with what is left of it and its age, in seconds."""
    body, remaining_seconds, age_seconds = kept
    caching = freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds)
    return _response(body, status=200, media_type=media_type, caching=caching)


def validated(response: Response, request_headers: Headers) -> Response:
    """The response with its ETag, or 304 in its place where the client has it (RFC 9110, 15.4.5)."""
    etag = etag_of(bytes(response.body))
    response.headers["etag"] = etag
    if not is_known(etag, request_headers):
        return response
    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=304, headers=kept)


def refused(error: RequestError, media_type: str | None) -> Response:
    """A request that did not become an operation."""
    content = {"errors": [{"message": str(error), "extensions": error.extensions}]}
    body = msgspec.json.encode(content)
    return _response(body, status=error.status, media_type=media_type, caching=NO_STORE)


def masked(identifier: str, media_type: str | None) -> Response:
    """A bug, of which the client learns the request id."""
    extensions = {"code": "INTERNAL_SERVER_ERROR", "requestId": identifier}
    message = "Something went wrong in the gateway."
    content = {"errors": [{"message": message, "extensions": extensions}]}
    return _response(msgspec.json.encode(content), status=500, media_type=media_type, caching=NO_STORE)


def _response(body: bytes, *, status: int, media_type: str | None, caching: dict[str, str]) -> Response:
    if media_type != negotiation.GRAPHQL_RESPONSE:
        media_type = negotiation.JSON
    return Response(
        body,
        status_code=status,
        headers={
            "content-type": f"{media_type}; charset=utf-8",
            "vary": "Authorization, Accept, Accept-Encoding",
            "x-content-type-options": "nosniff",
            **caching,
        },
    )
