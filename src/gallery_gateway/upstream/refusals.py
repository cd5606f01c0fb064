"""What an answer other than 200 means: from status, headers and body to an error of the gateway."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from gallery_gateway.errors import (
    ForbiddenError,
    GatewayError,
    RateLimitedError,
    RejectedParameterError,
    UnauthenticatedError,
    UpstreamContractError,
    UpstreamNotFoundError,
    UpstreamUnavailableError,
)
from gallery_gateway.upstream.decoding import parse_rejected_parameter


def _rejected(_response: httpx.Response, body: bytes) -> GatewayError:
    return RejectedParameterError(
        "The gallery did not accept the request.", parameter=parse_rejected_parameter(body)
    )


def _unauthenticated(_response: httpx.Response, _body: bytes) -> GatewayError:
    return UnauthenticatedError("The gallery did not accept the access token.")


def _forbidden(_response: httpx.Response, _body: bytes) -> GatewayError:
    return ForbiddenError("The access token does not permit this.")


def _not_found(_response: httpx.Response, _body: bytes) -> GatewayError:
    return UpstreamNotFoundError("The gallery endpoint was not found.", reason="status")


def _rate_limited(response: httpx.Response, _body: bytes) -> GatewayError:
    return RateLimitedError(
        "The gallery was asked too often.",
        retry_after_seconds=_retry_after_seconds(response.headers.get("retry-after", "")),
    )


def _unavailable(response: httpx.Response, _body: bytes) -> GatewayError:
    return UpstreamUnavailableError(
        "The gallery is not available at the moment.",
        may_pass=True,
        is_congestion=response.status_code != 502,
        retry_after_seconds=_retry_after_seconds(response.headers.get("retry-after", "")),
        reason="status",
    )


_BY_STATUS: dict[int, Callable[[httpx.Response, bytes], GatewayError]] = {
    400: _rejected,
    401: _unauthenticated,
    402: _forbidden,
    403: _forbidden,
    404: _not_found,
    422: _rejected,
    429: _rate_limited,
    502: _unavailable,
    503: _unavailable,
    504: _unavailable,
}


def refusal(response: httpx.Response, body: bytes) -> GatewayError:
    """The error for an answer whose status is not 200; its body may be JSON, text, HTML or empty."""
    if response.status_code in _BY_STATUS:
        return _BY_STATUS[response.status_code](response, body)
    if response.status_code >= 500:
        return UpstreamUnavailableError("The gallery is not available at the moment.", reason="status")
    return UpstreamContractError(f"The gallery answered with status {response.status_code}.", reason="status")


def _retry_after_seconds(value: str) -> int | None:
    """`Retry-After` in seconds or as a date (RFC 9110, section 10.2.3); None if it is neither."""
    if value.isdecimal() and len(value) < 10:
        return int(value)
    try:
        moment = parsedate_to_datetime(value)
    # A number beyond C's own is no part of a date, but not a ValueError either.
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round((moment - datetime.now(UTC)).total_seconds()))
