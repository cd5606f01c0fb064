"""HTTP responses with a GraphQL response in them, as ASGI sends them."""

from typing import NamedTuple

import msgspec
from starlette.types import Send

from gallery_gateway.edge.caching import NO_STORE, freshness_headers, is_known
from gallery_gateway.edge.headers import RawHeader
from gallery_gateway.edge.policy import GRAPHQL_RESPONSE, Decision
from gallery_gateway.errors import RequestError, UpstreamUnavailableError
from gallery_gateway.execution.executor import GraphQLResponse
from gallery_gateway.gallery.usage import OperationUsage

_BODILESS = frozenset({204, 304})


class Reply(NamedTuple):
    """A whole response."""

    status: int
    headers: list[RawHeader]
    body: bytes


class OperationResult(NamedTuple):
    """What came of one operation: its answer, the answer's body as it is sent, and what it cost."""

    answer: GraphQLResponse
    body: bytes
    usage: OperationUsage


async def send_reply(send: Send, reply: Reply) -> None:
    status, headers, body = reply
    # RFC 9110, section 8.6: not with 204, nor with 304 if it is not that of the 200.
    if status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def answered(outcome: OperationResult, decision: Decision) -> Reply:
    """An operation's answer; with any error in it, nobody is to keep it."""
    answer, body, usage = outcome
    if answer.retry_after_seconds is not None:
        # Well-formed and not answered: a 503 for every client and proxy to understand.
        retry_after = b"retry-after", b"%d" % answer.retry_after_seconds
        return Reply(503, [*decision.head, NO_STORE, retry_after], body)
    if answer.has_errors:
        # Under application/json a well-formed request is always answered with 200.
        is_refused = answer.is_request_error and decision.media_type == GRAPHQL_RESPONSE
        return Reply(answer.status or (400 if is_refused else 200), [*decision.head, NO_STORE], body)
    caching = freshness_headers(remaining_seconds=usage.remaining_seconds, age_seconds=usage.age_seconds)
    return Reply(200, [*decision.head, *caching], body)


def answered_again(kept: tuple[bytes, float, float], decision: Decision) -> Reply:
    """An answer without errors that was given before, with what is left of it and its age, in seconds."""
    body, remaining_seconds, age_seconds = kept
    caching = freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds)
    return Reply(200, [*decision.head, *caching], body)


def validated(reply: Reply, etag: bytes, if_none_match: bytes | None) -> Reply:
    """The response with its ETag, or 304 in its place where the client has it (RFC 9110, 15.4.5)."""
    reply.headers.append((b"etag", etag))
    if if_none_match is None or not is_known(etag, if_none_match):
        return reply
    return Reply(304, [header for header in reply.headers if not header[0].startswith(b"content-")], b"")


def refused(error: RequestError, decision: Decision, *, allow: bytes) -> Reply:
    """A request that did not become an operation; `allow` are the methods that it might have come by."""
    content = {"errors": [{"message": str(error), "extensions": error.extensions}]}
    reply = Reply(error.status, [*decision.head, NO_STORE], msgspec.json.encode(content))
    if error.status == 405:
        reply.headers.append((b"allow", allow))
    return reply


def given_up(decision: Decision) -> Reply:
    """An operation that had not ended when the process had to; another process will take it."""
    error = UpstreamUnavailableError("The gateway is shutting down.")
    content = {"errors": [{"message": str(error), "extensions": error.extensions}]}
    return Reply(503, [*decision.head, NO_STORE], msgspec.json.encode(content))


def masked(identifier: str, decision: Decision) -> Reply:
    """A bug, of which the client learns the request id."""
    extensions = {"code": "INTERNAL_SERVER_ERROR", "requestId": identifier}
    message = "Something went wrong in the gateway."
    content = {"errors": [{"message": message, "extensions": extensions}]}
    return Reply(500, [*decision.head, NO_STORE], msgspec.json.encode(content))
