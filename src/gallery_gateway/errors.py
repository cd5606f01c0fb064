"""The errors that the gateway raises on purpose, and the table of what follows from each.

GatewayError
 ├── RequestError                 BAD_REQUEST, with an HTTP status of its own
 │    ├── PersistedQueryNotFoundError      PERSISTED_QUERY_NOT_FOUND
 │    ├── PersistedQueryNotSupportedError  PERSISTED_QUERY_NOT_SUPPORTED
 │    ├── UnknownDocumentError             PERSISTED_QUERY_NOT_IN_LIST
 │    ├── DocumentNotTrustedError          QUERY_NOT_IN_SAFELIST
 │    ├── NoEventStreamError               BAD_REQUEST
 │    ├── TooManyStreamsError              RATE_LIMITED
 │    └── StreamsFullError                 OVERLOADED
 ├── BadUserInputError            BAD_USER_INPUT
 │    └── RejectedParameterError  (400 or 422 of the REST API)
 ├── UnauthenticatedError         UNAUTHENTICATED
 ├── ForbiddenError               FORBIDDEN
 ├── RateLimitedError             RATE_LIMITED
 ├── OverloadedError              OVERLOADED
 ├── UpstreamTimeoutError         UPSTREAM_TIMEOUT
 ├── UpstreamUnavailableError     UPSTREAM_UNAVAILABLE
 └── UpstreamContractError        UPSTREAM_CONTRACT
      └── UpstreamNotFoundError   (404 of the REST API)

Every error is of one *kind*, and `ERRORS` has one row for each kind. Retries, breakers, the concurrency
limit, stale answers, the purge of a caller's pages and logs read that row. `docs/errors.md` prints it.

Clients read the messages, so a message never holds a URL, host, header, body or token.
"""

import logging
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import ClassVar, Final


@dataclass(frozen=True, slots=True)
class Consequences:
    """A row of the error table.

    Args:
        cause: when the error occurs.
        reason: `reason` of the call's log line and metric; `None` if no call was made, or if the response is
            about the caller or the request.
        code: `extensions.code` of the GraphQL error.
        http_status: status of the response if this error left nothing to answer. A `RequestError` may have
            another one.
        is_retried: whether the same call is made again, within the retry budget.
        counts_for_breaker: whether the call counts as failed for the breakers.
        is_unreachable: whether there was no connection. The caller's own breaker ignores such a call, because
            no caller can be to blame.
        is_congestion: whether the call is a reason to lower the limit on concurrent calls.
        allows_stale: whether a stale page may be served instead of the error.
        pauses_caller: whether the gateway makes no call for the caller until a `Retry-After` has passed.
        purges_caller: whether the caller's cached pages are deleted.
        log_level: level of the call's log line, as in `logging`.
    """

    cause: str
    reason: str | None = None
    _: KW_ONLY
    code: str
    http_status: int = 200
    is_retried: bool = False
    counts_for_breaker: bool = False
    is_unreachable: bool = False
    is_congestion: bool = False
    allows_stale: bool = False
    pauses_caller: bool = False
    purges_caller: bool = False
    log_level: int = logging.INFO


def _rejected(cause: str, code: str, http_status: int = 400) -> Consequences:
    return Consequences(cause, code=code, http_status=http_status)


_failed = partial(Consequences, allows_stale=True, log_level=logging.WARNING)
_contract = partial(_failed, code="UPSTREAM_CONTRACT")
_unavailable = partial(_failed, code="UPSTREAM_UNAVAILABLE", counts_for_breaker=True)
_interrupted = partial(_unavailable, is_retried=True)
_no_connection = partial(_interrupted, is_unreachable=True)
_timeout = partial(_failed, code="UPSTREAM_TIMEOUT", counts_for_breaker=True, is_congestion=True)

ERRORS: Final[Mapping[str, Consequences]] = {
    # The request does not become an operation.
    "bad_request": _rejected("the request is not a GraphQL request", "BAD_REQUEST"),
    "parse_failed": _rejected("the document has a syntax error", "GRAPHQL_PARSE_FAILED"),
    "validation_failed": _rejected("the document violates schema or limits", "GRAPHQL_VALIDATION_FAILED"),
    "persisted_query_not_found": _rejected("this hash has no document", "PERSISTED_QUERY_NOT_FOUND", 200),
    "persisted_query_not_supported": _rejected(
        "automatic persisted queries are off", "PERSISTED_QUERY_NOT_SUPPORTED", 200
    ),
    "document_unknown": _rejected("no trusted document has this id", "PERSISTED_QUERY_NOT_IN_LIST", 404),
    "document_not_trusted": _rejected("only trusted documents run", "QUERY_NOT_IN_SAFELIST", 403),
    "no_event_stream": _rejected("a subscription that does not accept events", "BAD_REQUEST", 406),
    "bad_user_input": Consequences("an argument or variable is invalid", code="BAD_USER_INPUT"),
    # No call is made, or no operation waits for it.
    "overloaded": _failed(
        "the queue for calls is full, or the call waited too long in it", code="OVERLOADED", http_status=503
    ),
    "streams_full": _rejected("the process has too many open subscriptions, or ends", "OVERLOADED", 503),
    "breaker_open": _failed("a circuit breaker is open", code="UPSTREAM_UNAVAILABLE"),
    "shutting_down": _failed("the gateway shuts down", code="UPSTREAM_UNAVAILABLE", http_status=503),
    "given_up": _failed(
        "the deadline passed, or no operation waits for the response any more",
        "given_up",
        code="UPSTREAM_TIMEOUT",
        log_level=logging.INFO,
    ),
    # The REST API answers with a status other than 200.
    "rejected_parameter": Consequences("status 400 or 422", code="BAD_USER_INPUT"),
    "unauthenticated": Consequences(
        "status 401 of the API, or no token", code="UNAUTHENTICATED", purges_caller=True
    ),
    "forbidden": Consequences("status 402 or 403 of the API", code="FORBIDDEN", purges_caller=True),
    "intermediary": _unavailable(
        "status 401, 402 or 403 of a CDN, firewall or proxy instead of the API, or 400 of nginx about the"
        " client certificate",
        "intermediary",
    ),
    "rate_limited": _failed(
        "status 429, or an earlier `Retry-After` has not passed",
        code="RATE_LIMITED",
        is_retried=True,
        pauses_caller=True,
    ),
    "too_many_streams": _rejected("the caller has too many open subscriptions", "RATE_LIMITED", 429),
    "status_404": _contract(
        "status 404, except for an unknown project or a page past the end", "status", allows_stale=False
    ),
    "status_502": _interrupted("status 502", "status"),
    "status_503": _interrupted("status 503 or 504", "status", is_congestion=True),
    "status_5xx": _unavailable("any other status of 500 or above", "status"),
    "status_other": _contract("any other status", "status"),
    # There is no connection.
    "dns": _no_connection("the host name has no address, or is invalid", "dns"),
    "connect_refused": _no_connection("nothing listens at the address", "connect_refused"),
    "connect_unreachable": _no_connection("there is no route to the address", "connect_unreachable"),
    "connect_timeout": _timeout(
        "no connection within `UPSTREAM_CONNECT_TIMEOUT_SECONDS`, that to the proxy included",
        "connect_timeout",
        is_retried=True,
        is_unreachable=True,
    ),
    "connect_failed": _no_connection("the connection could not be made", "connect_failed"),
    "no_file_descriptors": _no_connection(
        "the gateway process, or its machine, has no file descriptor left", "no_file_descriptors"
    ),
    "proxy_unreachable": _no_connection("no connection to `UPSTREAM_PROXY_URL`", "proxy_unreachable"),
    "proxy_credentials": _no_connection(
        "status 401 or 407 of the proxy: it wants other credentials", "proxy_credentials", is_retried=False
    ),
    "proxy_refused": _no_connection(
        "any other status 3xx or 4xx of the proxy: it does not allow the host or port",
        "proxy_refused",
        is_retried=False,
    ),
    "proxy_failed": _no_connection("status 5xx of the proxy, or no complete response of it", "proxy_failed"),
    "tls_untrusted": _no_connection("no trusted authority signed the certificate", "tls_untrusted"),
    "tls_hostname": _no_connection("the certificate is for another name", "tls_hostname"),
    "tls_expired": _no_connection("the certificate is not valid yet, or has expired", "tls_expired"),
    "tls_failed": _no_connection("the TLS handshake failed", "tls_failed"),
    # There is no complete HTTP response.
    "reset": _interrupted("the connection was reset", "reset"),
    "closed": _interrupted("the connection was closed before the response began", "closed"),
    "cut_off": _interrupted("the connection was closed before the response ended", "cut_off"),
    "not_http": _unavailable("the bytes are not HTTP/1.1", "not_http"),
    "head_too_large": _unavailable("more than 64 KiB or 1,000 headers before the body", "head_too_large"),
    "overhead_too_large": _unavailable("chunk framing or trailers outweigh the body", "overhead_too_large"),
    "first_byte_timeout": _timeout(
        "no response began within `UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS`", "first_byte_timeout"
    ),
    "read_timeout": _timeout("the response paused for 20 seconds", "read_timeout"),
    "total_timeout": _timeout("the call took `UPSTREAM_TOTAL_TIMEOUT_SECONDS`", "total_timeout"),
    # The response does not follow the REST contract.
    "body_too_large": _contract("the body is larger than `UPSTREAM_MAX_BYTES`", "body_too_large"),
    "encoding": _contract("a content coding that was not requested, or a broken one", "encoding"),
    "not_json": _contract("the body is not JSON in UTF-8", "not_json"),
    "not_a_page": _contract("the body is JSON of another shape", "not_a_page"),
    "misfit": _contract("a value does not fit its field"),
    "contradiction": _contract("the numbers of a list contradict each other", allows_stale=False),
    # The gateway has a bug, or meets a failure without a row of its own.
    "unsendable": _unavailable("the gateway made a request that cannot be sent; a bug", "bad_request"),
    "other": _interrupted("the connection failed in any other way", "other"),
    "bug": Consequences(
        "an unexpected exception; the log has its traceback",
        "other",
        code="INTERNAL_SERVER_ERROR",
        log_level=logging.ERROR,
    ),
}
"""What follows from each kind of error."""

BUG_CODE: Final = ERRORS["bug"].code
BUG_MESSAGE: Final = "Something went wrong in the gateway."


class GatewayError(Exception):
    """An expected failure.

    Args:
        message: one sentence for the client; by default that of the class.
        kind: row of `ERRORS`; by default that of the class.
        retry_after_seconds: how long to wait before the next attempt, if the REST API or the gateway says so.
    """

    kind: str
    code: ClassVar[str]
    default_message: ClassVar[str] = ""
    # Whether clients see `retry_after_seconds`.
    shows_retry_after: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        cls.code = ERRORS[cls.kind].code

    def __init__(
        self, message: str | None = None, *, kind: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message or self.default_message)
        if kind is not None:
            self.kind = kind
        self.retry_after_seconds = retry_after_seconds
        # graphql-core copies this attribute of an original error into the GraphQL error.
        self.extensions: dict[str, object] = {"code": self.code}
        if self.shows_retry_after and retry_after_seconds is not None:
            self.extensions["retryAfter"] = retry_after_seconds

    @property
    def consequences(self) -> Consequences:
        return ERRORS[self.kind]


class RequestError(GatewayError):
    """An HTTP request that does not become an operation; `status` is that of the HTTP response."""

    kind = "bad_request"

    def __init__(
        self, message: str | None = None, *, status: int | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.status = status or self.consequences.http_status


class PersistedQueryNotFoundError(RequestError):
    """No document is stored under this hash; clients recognise the message and send the document."""

    kind = "persisted_query_not_found"
    default_message = "PersistedQueryNotFound"


class PersistedQueryNotSupportedError(RequestError):
    """Automatic persisted queries are off; clients recognise the message and send documents from then on."""

    kind = "persisted_query_not_supported"
    default_message = "PersistedQueryNotSupported"


class UnknownDocumentError(RequestError):
    """No trusted document has this id."""

    kind = "document_unknown"
    default_message = "There is no trusted document with this id."


class DocumentNotTrustedError(RequestError):
    """The document is not a trusted one."""

    kind = "document_not_trusted"
    default_message = "This gateway runs trusted documents only, and this document is not one of them."


class NoEventStreamError(RequestError):
    """A subscription whose client does not accept its events."""

    kind = "no_event_stream"
    default_message = "Events of a subscription are sent as a stream: send `Accept: text/event-stream`."


class TooManyStreamsError(RequestError):
    """The caller has as many open subscriptions as one may have."""

    kind = "too_many_streams"
    default_message = "This access token has too many open subscriptions; close some of them."
    shows_retry_after = True


class StreamsFullError(RequestError):
    """The process has as many open subscriptions as it may have, or leaves."""

    kind = "streams_full"
    default_message = "The gateway has too many open subscriptions; try again soon."
    shows_retry_after = True


class BadUserInputError(GatewayError):
    """An argument is invalid; `argument` is its name in the graph."""

    kind = "bad_user_input"

    def __init__(self, message: str | None = None, *, argument: str | None = None) -> None:
        super().__init__(message)
        if argument:
            self.extensions["argument"] = argument


class RejectedParameterError(BadUserInputError):
    """The REST API rejected the request; `parameter` is the REST name of the parameter, if it gave one."""

    kind = "rejected_parameter"
    default_message = "The gallery API rejected the request; check the arguments."

    def __init__(self, message: str | None = None, *, parameter: str | None) -> None:
        super().__init__(message)
        self.parameter = parameter


class UnauthenticatedError(GatewayError):
    """The request has no token, or the REST API does not accept it."""

    kind = "unauthenticated"
    default_message = "The gallery API does not accept the access token; sign in again."


class ForbiddenError(GatewayError):
    """The REST API accepts the token but denies access."""

    kind = "forbidden"
    default_message = "The access token does not permit this; use another one."


class RateLimitedError(GatewayError):
    """The caller made too many calls; `retry_after_seconds` is what the REST API said, if anything."""

    kind = "rate_limited"
    default_message = "The gallery API limits the calls of this access token; try again later."
    shows_retry_after = True


class OverloadedError(GatewayError):
    """More upstream calls wait than the REST API can take."""

    kind = "overloaded"
    default_message = "Too many calls wait for the gallery API; try again soon."
    shows_retry_after = True


class UpstreamTimeoutError(GatewayError):
    """The REST API did not answer in time."""

    kind = "given_up"
    default_message = "The gallery API did not answer in time; try again, or request less."


class UpstreamUnavailableError(GatewayError):
    """There was no connection or no complete response, the status was 5xx, or no call was made."""

    kind = "shutting_down"
    default_message = "The gallery API is not available; try again later."


class UpstreamContractError(GatewayError):
    """The response does not follow the REST contract."""

    kind = "misfit"
    default_message = "The gallery API sent something that its contract does not allow."


class UpstreamNotFoundError(UpstreamContractError):
    """404, which the gallery may understand as an unknown project or a page past the end."""

    kind = "status_404"
    default_message = "The gallery API does not know this request."
