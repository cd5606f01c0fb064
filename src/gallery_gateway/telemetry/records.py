"""The facts about an operation and about an upstream call, complete once each has ended.

A record holds no token, URL, document or variable, and is logged as it is.
"""

import msgspec
from opentelemetry.trace import SpanContext

Link = SpanContext
"""The span of an upstream call, to which the spans of other operations link."""

# Values of `executor`.
COMPILED = "compiled"
PLAIN = "plain"
PLAN = "plan"

# Values of `kind`.
QUERY = "query"
SUBSCRIPTION = "subscription"


class OperationRecord(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One HTTP request for a GraphQL operation.

    Args:
        request_id: the value of `X-Request-ID` in the response.
        trace_id: the trace of the operation, in hex; None if it is not traced.
        caller: the short fingerprint of the caller; None without a token.
        operation: the operation's name, if it has one.
        kind: `query`, or `subscription` for one poll of a subscription; None if the request did not become an
            operation.
        executor: `compiled` or `plain`; `plan` for a plan instead of a run; None if nothing was executed.
        outcome: `ok`; `error` if the response has errors; `refused` if nothing was executed; `cancelled` if
            the client left while it sent its request or received its response, or the process ended first.
        codes: the distinct codes of the errors.
        status: the status of the HTTP response.
        seconds: from the first byte of the request in the app to its response.
        bytes: size of the response body.
        calls: upstream calls made for the operation.
        hits: fields resolved from the cache.
        shared: fields resolved from the cache that processes share.
        stale: fields resolved from a stale page.
        collapsed: fields that shared an upstream call of another operation.
        merged: fields that shared an upstream call of the same operation.
        saved_bytes: size of the pages that were reused instead of fetched.
        narrowed_images: images that the arguments allow for, but that were not requested.
    """

    request_id: str
    method: str
    trace_id: str | None = None
    caller: str | None = None
    operation: str | None = None
    kind: str | None = None
    executor: str | None = None
    outcome: str = ""
    codes: tuple[str, ...] = ()
    status: int = 0
    seconds: float = 0.0
    bytes: int = 0
    calls: int = 0
    hits: int = 0
    shared: int = 0
    stale: int = 0
    collapsed: int = 0
    merged: int = 0
    saved_bytes: int = 0
    narrowed_images: int = 0


class CallRecord(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One HTTP request to the REST API; a retry has a record of its own.

    Args:
        request_id: that of the operation for which the call is made.
        trace_id: as in `OperationRecord`, like `caller`.
        outcome: `ok`, `unchanged` (304), or an error code; `cancelled` until one of these is known.
        reason: the cause of a failure in one word (`gallery_gateway.errors`); None if the call succeeded, or
            if its status is about the caller or the request (400, 401, 402, 403, 422, 429).
        status: the status of the response, if there was one.
        seconds: until the body was received and parsed.
        bytes: size of the JSON; 0 without a page.
        attempt: 1 for the first try.
        resent: whether the transport sent the request twice, as a connection that was used before failed.
    """

    request_id: str | None = None
    trace_id: str | None = None
    caller: str | None = None
    outcome: str
    reason: str | None = None
    status: int | None = None
    seconds: float = 0.0
    bytes: int = 0
    attempt: int = 1
    resent: bool = False
