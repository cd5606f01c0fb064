"""Failures of an upstream call as errors of the gateway: an HTTP status, or an error of the transport."""

import errno
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from gallery_gateway.errors import (
    ERRORS,
    ForbiddenError,
    GatewayError,
    RateLimitedError,
    RejectedParameterError,
    UnauthenticatedError,
    UpstreamContractError,
    UpstreamNotFoundError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.decoding import parse_rejected_parameter
from gallery_gateway.upstream.transport import (
    ClosedError,
    FirstByteTimeoutError,
    HeadTooLargeError,
    OverheadTooLargeError,
    TotalTimeoutError,
)

_ERRORS_BY_STATUS: Final = {
    401: UnauthenticatedError,
    402: ForbiddenError,
    403: ForbiddenError,
    404: UpstreamNotFoundError,
}
_KINDS_OF_5XX: Final = {502: "status_502", 503: "status_503", 504: "status_503"}


def status_error(response: httpx.Response, body: bytes) -> GatewayError:
    """Return the error for a status other than 200; the body may be JSON, text, HTML or empty."""
    status = response.status_code
    if status in _ERRORS_BY_STATUS:
        return _ERRORS_BY_STATUS[status]()
    if status in {400, 422}:
        return RejectedParameterError(parameter=parse_rejected_parameter(body))
    if status == 429:
        return RateLimitedError(retry_after_seconds=_retry_after_seconds(response))
    if status >= 500:
        kind = _KINDS_OF_5XX.get(status, "status_5xx")
        return UpstreamUnavailableError(kind=kind, retry_after_seconds=_retry_after_seconds(response))
    message = f"The gallery API answered with the unexpected status {status}."
    return UpstreamContractError(message, kind="status_other")


def transport_error(error: httpx.TransportError) -> GatewayError:
    """Return the error for a call without a complete HTTP response."""
    kind = transport_error_kind(error)
    is_timeout = ERRORS[kind].code == UpstreamTimeoutError.code
    return UpstreamTimeoutError(kind=kind) if is_timeout else UpstreamUnavailableError(kind=kind)


_KINDS_BY_CLASS: Final = (
    (FirstByteTimeoutError, "first_byte_timeout"),
    (TotalTimeoutError, "total_timeout"),
    (httpx.PoolTimeout, "total_timeout"),
    (httpx.ConnectTimeout, "connect_timeout"),
    (httpx.TimeoutException, "read_timeout"),
    (HeadTooLargeError, "head_too_large"),
    (OverheadTooLargeError, "overhead_too_large"),
    (httpx.LocalProtocolError, "unsendable"),
    (httpx.ProtocolError, "not_http"),
)

# For network errors whose cause does not say more.
_KINDS_OF_NETWORK_ERRORS: Final = (
    (ClosedError, "closed"),
    (httpx.ConnectError, "connect_failed"),
    (httpx.NetworkError, "cut_off"),
)

_KINDS_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "connect_refused",
    errno.ENETUNREACH: "connect_unreachable",
    errno.EHOSTUNREACH: "connect_unreachable",
    errno.EMFILE: "no_file_descriptors",
    errno.ENFILE: "no_file_descriptors",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
}

# OpenSSL's X509_V_ERR_* (openssl/x509_vfy.h).
_KINDS_BY_VERIFY_CODE: Final = {9: "tls_expired", 10: "tls_expired", 62: "tls_hostname", 64: "tls_hostname"}

_CONNECTION_ENDED: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def transport_error_kind(error: httpx.TransportError) -> str:
    """Return the kind of a transport error, from its class and its causes."""
    for cls, kind in _KINDS_BY_CLASS:
        if isinstance(error, cls):
            return kind
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
        # Before the connection is made, only the TLS handshake can end it.
        if isinstance(error, httpx.ConnectError) and isinstance(cause, _CONNECTION_ENDED):
            return "tls_failed"
        found = _os_error_kind(cause)
        if found is not None:
            return found
    return next((kind for cls, kind in _KINDS_OF_NETWORK_ERRORS if isinstance(error, cls)), "other")


def _os_error_kind(error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "dns"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _KINDS_BY_VERIFY_CODE.get(error.verify_code, "tls_untrusted")
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return _KINDS_BY_ERRNO.get(error.errno) if isinstance(error, OSError) and error.errno else None


def _retry_after_seconds(response: httpx.Response) -> int | None:
    """Return `Retry-After` in seconds, from a number or a date (RFC 9110, section 10.2.3), or `None`."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal() and len(value) < 10:
        return int(value)
    try:
        moment = parsedate_to_datetime(value)
    # A number too large for C raises OverflowError.
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round((moment - datetime.now(UTC)).total_seconds()))
