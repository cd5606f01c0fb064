"""Failures of an upstream call as errors of the gateway: an HTTP status, or an error of the transport."""

import errno
import math
import re
import socket
import ssl
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
from gallery_gateway.upstream.caching import parse_http_date, sent_at
from gallery_gateway.upstream.decoding import parse_rejected_parameter
from gallery_gateway.upstream.transport import (
    ClosedError,
    FirstByteTimeoutError,
    HeadTooLargeError,
    OverheadTooLargeError,
    ProxyCredentialsError,
    ProxyUnreachableError,
    TotalTimeoutError,
    TunnelRefusedError,
)

_ERRORS_BY_STATUS: Final = {
    401: UnauthenticatedError,
    402: ForbiddenError,
    403: ForbiddenError,
    404: UpstreamNotFoundError,
}
_KINDS_OF_5XX: Final = {502: "status_502", 503: "status_503", 504: "status_503"}


def status_error(response: httpx.Response, body: bytes | None) -> GatewayError:
    """Return the error for a status other than 200; the body is anything, or `None` if it was not read."""
    status, headers = response.status_code, response.headers
    if status in {400, 401, 402, 403} and _is_of_intermediary(status, headers, body):
        return UpstreamUnavailableError(kind="intermediary")
    if status in _ERRORS_BY_STATUS:
        return _ERRORS_BY_STATUS[status]()
    if status in {400, 422}:
        return RejectedParameterError(parameter=parse_rejected_parameter(body or b""))
    if status == 429:
        return RateLimitedError(retry_after_seconds=_retry_after_seconds(headers))
    if status >= 500:
        kind = _KINDS_OF_5XX.get(status, "status_5xx")
        return UpstreamUnavailableError(kind=kind, retry_after_seconds=_retry_after_seconds(headers))
    message = f"The gallery API answered with the unexpected status {status}."
    return UpstreamContractError(message, kind="status_other")


# Headers of a refusal by Cloudflare, AWS WAF, DataDome, Sucuri or Vercel.
_FIREWALL_HEADERS: Final = frozenset(
    {"cf-mitigated", "x-amzn-waf-action", "x-dd-b", "x-sucuri-block", "x-vercel-mitigated", "x-vercel-error"}
)
# `Server` of the responses that Akamai and the load balancers of AWS make themselves.
_INTERMEDIARIES: Final = ("akamaighost", "awselb")
# `x-amzn-ErrorType` of AWS API Gateway about a token. All others are about routes, keys, limits or firewalls.
_AWS_VERDICTS: Final = frozenset({"UnauthorizedException", "AccessDeniedException", "ExpiredTokenException"})
# Markup, or Cloudflare's text and JSON for clients that are no browsers.
_FIREWALL_BODY: Final = re.compile(rb'\s*(<|error code: \d|\{[^{}]*"cloudflare_error"\s*:\s*true)')

# The page of nginx for a client certificate that is missing or refused.
_CERTIFICATE_PAGE: Final = re.compile(rb"\s*<html>.{,200}SSL certificate", re.DOTALL)


def _is_of_intermediary(status: int, headers: httpx.Headers, body: bytes | None) -> bool:
    """Return whether a CDN, firewall or proxy refused the call, so that the status is none of the API."""
    if status == 400:
        return _CERTIFICATE_PAGE.match(body or b"") is not None
    aws_type = headers.get("x-amzn-errortype", "").partition(":")[0]
    if aws_type:
        # A policy of the gateway itself names its action.
        return aws_type not in _AWS_VERDICTS or b"execute-api:" in (body or b"")
    if not _FIREWALL_HEADERS.isdisjoint(headers):
        return True
    if "bearer" in headers.get("www-authenticate", "").lower():
        # The answer to a bearer token (RFC 6750, section 3).
        return False
    if body is None:
        return "html" in headers.get("content-type", "").lower()
    is_marked = headers.get("server", "").lower().startswith(_INTERMEDIARIES)
    if status == 403:
        # CloudFront also marks errors of the API, and makes no 401 itself.
        is_marked |= headers.get("x-cache", "").lower().startswith("error from cloudfront")
    is_json = body.lstrip()[:1] in {b"{", b"["}
    return (is_marked and not is_json) or _FIREWALL_BODY.match(body) is not None


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
    (ProxyCredentialsError, "proxy_credentials"),
    (TunnelRefusedError, "proxy_refused"),
)

# For errors whose cause does not say more.
_KINDS_WITHOUT_CAUSE: Final = (
    (ProxyUnreachableError, "proxy_unreachable"),
    (httpx.ProxyError, "proxy_failed"),
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
        # The causes of a proxy's failure say nothing about the API, except for one.
        is_told = not isinstance(error, httpx.ProxyError) or found == "no_file_descriptors"
        if found is not None and is_told:
            return found
    return next((kind for cls, kind in _KINDS_WITHOUT_CAUSE if isinstance(error, cls)), "other")


def _os_error_kind(error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "dns"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _KINDS_BY_VERIFY_CODE.get(error.verify_code, "tls_untrusted")
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return _KINDS_BY_ERRNO.get(error.errno) if isinstance(error, OSError) and error.errno else None


# The longest time that a client gets.
_MAX_RETRY_AFTER_SECONDS = 999_999_999
_SECONDS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*")


def _retry_after_seconds(headers: httpx.Headers) -> int | None:
    """Return `Retry-After` in seconds, rounded up, or `None` if it cannot be read (RFC 9110, 10.2.3).

    Of several, the longest counts.
    """
    times: list[float] = []
    for line in headers.get_list("retry-after"):
        moment = parse_http_date(line)
        if moment is None:
            times += [float(match[1]) for match in map(_SECONDS.fullmatch, line.split(",")) if match]
        else:
            times.append(max(0.0, moment - sent_at(headers)))
    return math.ceil(min(max(times), _MAX_RETRY_AFTER_SECONDS)) if times else None
