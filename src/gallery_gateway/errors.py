"""Every error that the gateway raises on purpose, and the code that clients see it under.

GatewayError
 ├── RequestError                 BAD_REQUEST, with an HTTP status of its own
 │    ├── PersistedQueryNotFoundError      PERSISTED_QUERY_NOT_FOUND
 │    ├── PersistedQueryNotSupportedError  PERSISTED_QUERY_NOT_SUPPORTED
 │    ├── UnknownDocumentError             PERSISTED_QUERY_NOT_IN_LIST
 │    └── DocumentNotTrustedError          QUERY_NOT_IN_SAFELIST
 ├── BadUserInputError            BAD_USER_INPUT
 │    └── RejectedParameterError  (the endpoint's own 400 or 422)
 ├── UnauthenticatedError         UNAUTHENTICATED
 ├── ForbiddenError               FORBIDDEN
 ├── RateLimitedError             RATE_LIMITED
 ├── OverloadedError              OVERLOADED
 ├── UpstreamTimeoutError         UPSTREAM_TIMEOUT
 ├── UpstreamUnavailableError     UPSTREAM_UNAVAILABLE
 └── UpstreamContractError        UPSTREAM_CONTRACT
      └── UpstreamNotFoundError   (the endpoint's 404, before anyone knows what it means)

Messages are read by clients: they never hold a URL, host, header, body or token.
"""

from typing import ClassVar


class GatewayError(Exception):
    """An expected failure.

    Args:
        message: one sentence for the client.
        extensions: further members of `extensions`, beside `code`.

    `may_pass` says whether the same call may be answered when it is made again soon, and
    `retry_after_seconds` how long to wait before that, where somebody said it. `reason` says in one word why
    an upstream call failed, for log lines and metrics (`upstream.reasons`); clients never see it.
    """

    code: ClassVar[str]
    may_pass: bool = False
    retry_after_seconds: int | None = None
    reason: str | None = None

    def __init__(self, message: str, **extensions: object) -> None:
        super().__init__(message)
        # graphql-core copies this attribute of an original error into the GraphQL error.
        self.extensions: dict[str, object] = {"code": self.code, **extensions}


class RequestError(GatewayError):
    """An HTTP request that never becomes an operation; `status` is its HTTP answer."""

    code = "BAD_REQUEST"

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class PersistedQueryNotFoundError(RequestError):
    """No document is kept under this hash; clients know it by its message, and send the document."""

    code = "PERSISTED_QUERY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound", status=200)


class PersistedQueryNotSupportedError(RequestError):
    """Nothing is kept here; clients know it by its message, and send documents from then on."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported", status=200)


class UnknownDocumentError(RequestError):
    """No trusted document has this id."""

    code = "PERSISTED_QUERY_NOT_IN_LIST"

    def __init__(self) -> None:
        super().__init__("There is no trusted document of this id.", status=404)


class DocumentNotTrustedError(RequestError):
    """A document that is not among the trusted ones."""

    code = "QUERY_NOT_IN_SAFELIST"

    def __init__(self) -> None:
        super().__init__("This document is not among the trusted ones.", status=403)


class BadUserInputError(GatewayError):
    """An argument is out of range; `argument` is its name in the graph."""

    code = "BAD_USER_INPUT"

    def __init__(self, message: str, *, argument: str | None = None) -> None:
        super().__init__(message, **({"argument": argument} if argument else {}))


class RejectedParameterError(BadUserInputError):
    """The endpoint refused the request; `parameter` is what it named, in REST's words."""

    def __init__(self, message: str, *, parameter: str | None) -> None:
        super().__init__(message)
        self.parameter = parameter


class UnauthenticatedError(GatewayError):
    """No token, or one that the endpoint does not know."""

    code = "UNAUTHENTICATED"


class ForbiddenError(GatewayError):
    """The token is known, and does not open this."""

    code = "FORBIDDEN"


class RateLimitedError(GatewayError):
    """Too many requests; `retry_after_seconds` where the endpoint said it."""

    code = "RATE_LIMITED"
    may_pass = True

    def __init__(self, message: str, *, retry_after_seconds: int | None = None) -> None:
        known = retry_after_seconds is not None
        super().__init__(message, **({"retryAfter": retry_after_seconds} if known else {}))
        self.retry_after_seconds = retry_after_seconds


class OverloadedError(GatewayError):
    """The gateway itself has more calls to make than the endpoint takes."""

    code = "OVERLOADED"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message, retryAfter=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class UpstreamTimeoutError(GatewayError):
    """No answer in time; one that was not even reached in time `may_pass`."""

    code = "UPSTREAM_TIMEOUT"

    def __init__(self, message: str, *, may_pass: bool = False, reason: str | None = None) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.reason = reason


class UpstreamUnavailableError(GatewayError):
    """Refused, reset, cut off, or 5xx; `is_congestion` if the endpoint has too much to do."""

    code = "UPSTREAM_UNAVAILABLE"

    def __init__(
        self,
        message: str,
        *,
        may_pass: bool = False,
        is_congestion: bool = False,
        retry_after_seconds: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.reason = reason
        self.is_congestion = is_congestion
        self.retry_after_seconds = retry_after_seconds


class UpstreamContractError(GatewayError):
    """An answer that is not what the contract says."""

    code = "UPSTREAM_CONTRACT"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class UpstreamNotFoundError(UpstreamContractError):
    """404: an unknown project or a page past the end, if that is what was asked for."""
