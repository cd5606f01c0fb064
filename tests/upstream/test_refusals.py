"""Statuses other than 200: each has its code, whatever the body is."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

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
from gallery_gateway.upstream.refusals import status_error

SECRET = "https://internal.example/secret"

BODIES = {
    "contract": b'{"error": "Invalid request", "detail": [{"field": null, "message": "%s"}]}',
    "json": b'{"error": "%s"}',
    "text": b"%s",
    "html": b"<html><title>%s</title></html>",
    "empty": b"",
    "bad bytes": b"\xff\xfe\x00%s",
    "deep": b"[" * 50_000 + b'"%s"',
}

ANSWERS: list[tuple[int, type[GatewayError], str]] = [
    (400, RejectedParameterError, "BAD_USER_INPUT"),
    (422, RejectedParameterError, "BAD_USER_INPUT"),
    (401, UnauthenticatedError, "UNAUTHENTICATED"),
    (402, ForbiddenError, "FORBIDDEN"),
    (403, ForbiddenError, "FORBIDDEN"),
    (404, UpstreamNotFoundError, "UPSTREAM_CONTRACT"),
    (429, RateLimitedError, "RATE_LIMITED"),
    (500, UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"),
    (501, UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"),
    (502, UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"),
    (503, UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"),
    (504, UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"),
    (599, UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"),
    (201, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (204, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (301, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (302, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (304, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (307, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (405, UpstreamContractError, "UPSTREAM_CONTRACT"),
    (418, UpstreamContractError, "UPSTREAM_CONTRACT"),
]


def refused(status: int, *, body: bytes = b"", **headers: str) -> GatewayError:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return status_error(httpx.Response(status, headers=named), body)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize(("status", "error", "code"), ANSWERS)
def test_a_status_has_its_code_whatever_the_body_is(
    status: int, error: type[GatewayError], code: str, kind: str
) -> None:
    body = BODIES[kind].replace(b"%s", SECRET.encode())

    refusal_seen = refused(status, body=body)

    assert type(refusal_seen) is error
    assert refusal_seen.extensions == {"code": code}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("status", [status for status, _, _ in ANSWERS])
def test_no_part_of_body_or_headers_is_in_the_message(status: int, kind: str) -> None:
    body = BODIES[kind].replace(b"%s", SECRET.encode())

    error = refused(status, body=body, location=SECRET, retry_after=SECRET)

    assert SECRET not in str(error)
    assert SECRET not in repr(error.extensions)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_parameter_is_named(status: int) -> None:
    error = refused(status, body=b'{"detail": [{"field": "per_page", "message": "no"}]}')

    assert isinstance(error, RejectedParameterError)
    assert error.parameter == "per_page"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("5", 5), ("120", 120), ("999999999", 999_999_999)],
)
def test_retry_after_may_be_seconds(value: str, seconds: int) -> None:
    error = refused(429, retry_after=value)

    assert error.extensions["retryAfter"] == seconds


def test_retry_after_may_be_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    error = refused(429, retry_after=in_an_hour)

    assert error.extensions["retryAfter"] == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    "date",
    ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00", "Mon, 01 Jan 0001 00:00:00 +2359"],
)
def test_retry_after_is_never_in_the_past(date: str) -> None:
    error = refused(429, retry_after=date)

    assert error.extensions["retryAfter"] == 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "-5",
        "1.5",
        "\u00b2",
        "9" * 10,
        "9" * 5000,
        "Wed, 99 Oct 2099 07:28:00 GMT",
        f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT",
        f"Wed, 21 Oct 2099 {'9' * 50}:28:00 GMT",
        f"Wed, 21 Oct 2099 07:28:00 +{'9' * 17}",
        "(",
    ],
    ids=lambda value: value[:30],
)
def test_a_malformed_retry_after_is_ignored(value: str) -> None:
    error = refused(429, retry_after=value)

    assert error.extensions == {"code": "RATE_LIMITED"}
