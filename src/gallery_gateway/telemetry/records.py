"""What there is to tell of an operation and of an upstream call, once each of them has ended.

Neither holds a token, a URL, a document or a variable: they are logged as they are.
"""

from typing import Protocol

import msgspec


class Link(Protocol):
    """OpenTelemetry's context of a span, by which other spans refer to it."""

    @property
    def trace_id(self) -> int: ...

    @property
    def span_id(self) -> int: ...


# Values of `executor`.
COMPILED = "compiled"
PLAIN = "plain"


class OperationRecord(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One HTTP request for a GraphQL operation.

    Args:
        request_id: what the client finds in `X-Request-ID`.
        trace_id: of the trace that it belongs to, in hex; None if nothing is traced.
        caller: the short fingerprint of who asks; None if there was no token.
        operation: the operation's name; None if it has none, or if there is no operation.
        kind: `query`; None if the request did not become an operation.
        executor: `compiled` or `plain`, whichever made the answer; None if nothing was run.
        outcome: `ok`; `error` if there are errors in the answer; `refused` if nothing was run; `cancelled`
            if the client left while it sent its request or was sent its answer, or the process ended first.
        codes: of the errors, each once.
        status: of the HTTP response.
        seconds: from the request's first byte in the app to its answer.
        bytes: of the answer's body.
        calls: upstream calls that it made.
        hits: fields that were answered from the cache.
        shared: fields that were answered from the cache of all processes.
        stale: those of them whose page was past its time.
        collapsed: fields that shared a call of another operation.
        merged: fields that shared a call of this one.
        saved_bytes: what the pages weigh that answered fields without being fetched for them.
        narrowed_images: images that its arguments allowed for, and that were not asked for.
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
    """One HTTP request to the endpoint; a retry is another.

    Args:
        request_id: of the operation that it was made for.
        trace_id: as in `OperationRecord`, and `caller` too.
        outcome: `ok`, `unchanged` (304), or the code of what went wrong; `cancelled` as long
            as it is none of these.
        reason: why it failed, in one word (`gallery_gateway.errors`); None if it did not, or if its status is
            about the caller or the request (400, 401, 402, 403, 422, 429).
        status: of the answer; None if there was none.
        seconds: until its body was read and parsed.
        bytes: of its JSON; 0 if it brought no page.
        attempt: 1, and one more for each retry.
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
