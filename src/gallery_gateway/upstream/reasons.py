"""Why an upstream call failed, in one word: a field of its log line and a label of a metric.

Clients see the `code` only: a reason says more about the network than they should know.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

REASONS: Final = {
    "dns": "the host name has no address, or cannot be one",
    "connect_refused": "nothing listens at the address",
    "connect_unreachable": "there is no route to the address",
    "connect_timeout": "no connection within `UPSTREAM_CONNECT_TIMEOUT_SECONDS`",
    "connect_failed": "no connection, for any other cause",
    "no_file_descriptors": "the gateway's process, or its machine, has no file descriptor left",
    "tls_untrusted": "no trusted authority signed the certificate",
    "tls_hostname": "the certificate is for another name",
    "tls_expired": "the certificate is not valid yet, or not any more",
    "tls_failed": "no TLS connection, for any other cause",
    "reset": "the connection was reset",
    "closed": "the connection was closed before the answer began",
    "cut_off": "the connection was closed before the answer ended",
    "not_http": "the bytes are not HTTP/1.1",
    "head_too_large": "more than 64 KiB or 1,000 headers before the body",
    "overhead_too_large": "chunk framing or trailers outweigh the body",
    "first_byte_timeout": "no answer began within `UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS`",
    "read_timeout": "the answer paused for `UPSTREAM_READ_TIMEOUT_SECONDS`",
    "total_timeout": "the call took `UPSTREAM_TOTAL_TIMEOUT_SECONDS`",
    "status": "a status that stands for a failure; it is in the `status` field",
    "body_too_large": "the body is larger than `UPSTREAM_MAX_BYTES`",
    "encoding": "a content coding that was not asked for, or a broken one",
    "not_json": "the body is not JSON in UTF-8",
    "not_a_page": "the body is JSON of another shape",
    "bad_request": "the gateway made a request that cannot be sent; a bug",
    "given_up": "no operation waits for the response any more, or the deadline passed",
    "other": "none of these",
}
"""Every reason, with what it means; `docs/operating.md` prints this table."""

UNREACHABLE: Final = frozenset(
    {
        "dns",
        "connect_refused",
        "connect_unreachable",
        "connect_timeout",
        "connect_failed",
        "no_file_descriptors",
        "tls_untrusted",
        "tls_hostname",
        "tls_expired",
        "tls_failed",
    }
)
"""Reasons for which there was no connection, so that no caller and no question can be to blame."""

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "connect_refused",
    errno.ENETUNREACH: "connect_unreachable",
    errno.EHOSTUNREACH: "connect_unreachable",
    errno.EMFILE: "no_file_descriptors",
    errno.ENFILE: "no_file_descriptors",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
}

# OpenSSL's X509_V_ERR_* (openssl/x509_vfy.h).
_BY_VERIFY_CODE: Final = {9: "tls_expired", 10: "tls_expired", 62: "tls_hostname", 64: "tls_hostname"}

_BY_CLASS: Final = (
    (httpx.ConnectTimeout, "connect_timeout"),
    (httpx.ConnectError, "connect_failed"),
    (httpx.PoolTimeout, "total_timeout"),
    (httpx.TimeoutException, "read_timeout"),
    (httpx.NetworkError, "cut_off"),
    (httpx.LocalProtocolError, "bad_request"),
    (httpx.ProtocolError, "not_http"),
)


class FirstByteTimeoutError(httpx.ReadTimeout):
    """No answer began in time."""


class TotalTimeoutError(httpx.ReadTimeout):
    """The call as a whole took too long."""


class ClosedError(httpx.ReadError):
    """The connection ended before the first byte of an answer."""


class HeadTooLargeError(httpx.RemoteProtocolError):
    """The head of an answer has more bytes or headers than are read."""


class OverheadTooLargeError(httpx.RemoteProtocolError):
    """Bytes that are no part of the body outweighed it."""


_ENDED: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)

_BY_OWN_CLASS: Final = {
    FirstByteTimeoutError: "first_byte_timeout",
    TotalTimeoutError: "total_timeout",
    HeadTooLargeError: "head_too_large",
    OverheadTooLargeError: "overhead_too_large",
}


def transport_reason(error: httpx.TransportError) -> str:
    """Return the reason of a transport's error, found by its class and by what caused it."""
    own = _BY_OWN_CLASS.get(type(error))
    if own is not None:
        return own
    for cause in _causes(error):
        # A connection that is not made yet cannot end; the handshake of TLS can.
        if isinstance(error, httpx.ConnectError) and isinstance(cause, _ENDED):
            return "tls_failed"
        reason = _os_reason(cause)
        if reason is not None:
            return reason
    if isinstance(error, ClosedError):
        return "closed"
    return next((reason for kind, reason in _BY_CLASS if isinstance(error, kind)), "other")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _os_reason(error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "dns"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(error.verify_code, "tls_untrusted")
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return _BY_ERRNO.get(error.errno) if isinstance(error, OSError) and error.errno else None
