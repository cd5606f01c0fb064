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
from tests.fakes import FakeUpstream, gateway
from tests.gallery.endpoints import ManualClock

NAMES = "{ gallery { projects { projectName } } }"
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

    if status in {401, 402, 403} and kind == "html":
        # An intermediary: the API speaks JSON.
        error, code = UpstreamUnavailableError, "UPSTREAM_UNAVAILABLE"
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


SENT = "Wed, 21 Oct 2015 07:28:00 GMT"
MANY = 999_999_999

RETRY_AFTER: list[tuple[str | list[str], int | None]] = [
    ("0", 0),
    ("5", 5),
    (" 5 ", 5),
    ("005", 5),
    ("120", 120),
    # Fractions are rounded up.
    ("1.5", 2),
    ("0.2", 1),
    ("2.0", 2),
    # More than clients can be told.
    ("999999999", MANY),
    ("9999999999", MANY),
    ("9" * 5_000, MANY),
    # Dates in the three formats of RFC 9110, section 5.6.7, after that of the response.
    ("Wed, 21 Oct 2015 07:29:00 GMT", 60),
    ("Wednesday, 21-Oct-15 07:29:00 GMT", 60),
    ("Wed Oct 21 07:29:00 2015", 60),
    ("Wed, 21 Oct 2015 09:29:00 +0200", 60),
    (SENT, 0),
    ("Tue, 20 Oct 2015 07:28:00 GMT", 0),
    ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
    # Several: the longest.
    ("5, 10", 10),
    ("10, 5", 10),
    ("5, soon", 5),
    (["5", "10"], 10),
    (["5", "Wed, 21 Oct 2015 07:29:00 GMT"], 60),
    (["soon", "5"], 5),
    # Nothing that can be read.
    ("", None),
    (" ", None),
    (",", None),
    ("soon", None),
    ("-5", None),
    ("+5", None),
    ("5s", None),
    ("1e3", None),
    ("0x10", None),
    ("inf", None),
    ("nan", None),
    ("\u00b2", None),
    ("\u0665", None),
    ("PT5S", None),
    ("2015-10-21T07:29:00Z", None),
    ("Wed, 99 Oct 2099 07:28:00 GMT", None),
    (f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT", None),
    (f"Wed, 21 Oct 2099 {'9' * 50}:28:00 GMT", None),
    (f"Wed, 21 Oct 2099 07:28:00 +{'9' * 17}", None),
    ("(", None),
]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER, ids=lambda value: str(value)[:30])
def test_retry_after(status: int, value: str | list[str], seconds: int | None) -> None:
    lines = [value] if isinstance(value, str) else value
    headers = [(b"date", SENT.encode()), *((b"retry-after", line.encode()) for line in lines)]

    error = status_error(httpx.Response(status, headers=headers), b"")

    assert error.retry_after_seconds == seconds
    if status == 429:
        assert error.extensions.get("retryAfter") == seconds


def test_without_a_date_retry_after_counts_from_now() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    error = refused(429, retry_after=in_an_hour)

    assert error.extensions["retryAfter"] == pytest.approx(3600, abs=60)


HTML = "text/html; charset=UTF-8"
JSON = "application/json"

# Whose refusal it is: status, headers and body, as each sends them.
INTERMEDIARIES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "Cloudflare, challenge": (
        403,
        {"content-type": HTML, "server": "cloudflare", "cf-mitigated": "challenge", "cf-ray": "8-AMS"},
        b'<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head></html>',
    ),
    "Cloudflare, challenge without its page": (
        403,
        {"server": "cloudflare", "cf-mitigated": "challenge"},
        b"",
    ),
    "Cloudflare, block page": (
        403,
        {"content-type": HTML, "server": "cloudflare", "cf-ray": "8-AMS"},
        b"<!DOCTYPE html>\n<!--[if lt IE 7]> <html> <![endif]--><title>Attention Required!</title>",
    ),
    "Cloudflare, as text": (403, {"content-type": "text/plain", "server": "cloudflare"}, b"error code: 1020"),
    "Cloudflare, as JSON": (
        403,
        {"content-type": "application/problem+json", "server": "cloudflare"},
        b'{"type": "https://x/", "title": "Access denied", "status": 403, "cloudflare_error": true}',
    ),
    "CloudFront": (
        403,
        {"content-type": "text/html", "server": "CloudFront", "x-cache": "Error from cloudfront"},
        b"<!DOCTYPE HTML><HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD></HTML>",
    ),
    "CloudFront, without a body": (403, {"x-cache": "Error from cloudfront"}, b""),
    "CloudFront, the bucket behind it": (
        403,
        {"content-type": "application/xml", "server": "AmazonS3", "x-cache": "Error from cloudfront"},
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
    ),
    "AWS API Gateway, firewall": (
        403,
        {"content-type": JSON, "x-amzn-errortype": "ForbiddenException"},
        b'{"message":"Forbidden"}',
    ),
    "AWS API Gateway, no such route": (
        403,
        {"content-type": JSON, "x-amzn-errortype": "MissingAuthenticationTokenException"},
        b'{"message":"Missing Authentication Token"}',
    ),
    "AWS API Gateway, token read as a signature": (
        403,
        {"content-type": JSON, "x-amzn-errortype": "IncompleteSignatureException"},
        b'{"message":"Invalid key=value pair (missing equal-sign) in Authorization header"}',
    ),
    "AWS API Gateway, policy on addresses": (
        403,
        {"content-type": JSON, "x-amzn-errortype": "AccessDeniedException"},
        b'{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn"}',
    ),
    "AWS load balancer": (
        403,
        {"content-type": "text/html", "server": "awselb/2.0"},
        b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n</html>",
    ),
    "AWS load balancer, text of a rule": (403, {"server": "awselb/2.0"}, b"No access from this address"),
    "AWS WAF, captcha": (403, {"x-amzn-waf-action": "captcha"}, b""),
    "Akamai": (
        403,
        {"content-type": "text/html", "server": "AkamaiGHost"},
        b"<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>Reference #18.2d351ab8</BODY></HTML>",
    ),
    "Imperva": (
        403,
        {"content-type": "text/html", "x-iinfo": "1-2-3 NNNN CT"},
        b'<html style="height:100%"><iframe src="/_Incapsula_Resource"></html>',
    ),
    "Azure Front Door": (
        403,
        {"content-type": "text/html", "x-azure-ref": "0abc"},
        b"<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><html><h2>The request is blocked.</h2></html>",
    ),
    "Azure Application Gateway": (
        403,
        {"content-type": "text/html", "server": "Microsoft-Azure-Application-Gateway/v2"},
        b"<html>\r\n<head><title>403 Forbidden</title></head></html>",
    ),
    "Fastly": (
        403,
        {"content-type": "text/html; charset=utf-8", "server": "Varnish", "x-served-by": "cache-ams-1"},
        b'\n<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html><h1>Error 403</h1></html>',
    ),
    "Google Cloud Armor": (
        403,
        {"content-type": HTML},
        b"<!doctype html><meta charset=utf-8><title>403</title>",
    ),
    "Sucuri": (403, {"x-sucuri-block": "13", "server": "Sucuri/Cloudproxy"}, b""),
    "Vercel": (403, {"x-vercel-mitigated": "deny", "content-type": "text/plain"}, b"Forbidden"),
    "Vercel, unpaid": (402, {"x-vercel-error": "DEPLOYMENT_DISABLED"}, b"Payment required"),
    "DataDome": (403, {"x-dd-b": "1", "content-type": JSON}, b'{"url":"https://geo.captcha-delivery.com/"}'),
    "nginx": (403, {"content-type": "text/html", "server": "nginx"}, b"<html>\r\n<head><title>403 Forbidden"),
    "nginx, password": (
        401,
        {"content-type": "text/html", "www-authenticate": 'Basic realm="staging"'},
        b"<html>\r\n<head><title>401 Authorization Required</title></head></html>",
    ),
    "captive portal": (
        401,
        {"content-type": "text/html"},
        b"\xef\xbb\xbf  \n<html><body>Sign in to the Wi-Fi",
    ),
    "captive portal, HTML as JSON": (401, {"content-type": JSON}, b"<!-- hotel --><html></html>"),
}

API = {
    "no body": (401, {}, b""),
    "no body, PHP": (401, {"content-type": HTML}, b""),
    "JSON": (401, {"content-type": JSON}, b'{"error": "Token has expired"}'),
    "JSON as HTML": (403, {"content-type": HTML}, b'{"error": "Not yours"}'),
    "JSON with a < in it": (403, {"content-type": JSON}, b'{"error": "<b>Not yours</b>"}'),
    "text": (401, {"content-type": "text/plain"}, b"Unauthorized"),
    "bytes": (403, {}, b"\xff\xfe\x00"),
    "challenge of bearer tokens": (
        401,
        {"content-type": HTML, "www-authenticate": 'Bearer error="invalid_token"'},
        b"<!doctype html>\n<html lang=en>\n<title>401 Unauthorized</title>",
    ),
    "several challenges": (401, {"www-authenticate": 'Basic realm="x", Bearer'}, b"<html>"),
    "through Cloudflare": (403, {"server": "cloudflare", "cf-ray": "8-AMS"}, b'{"error": "Not yours"}'),
    "through CloudFront, 401": (401, {"x-cache": "Error from cloudfront"}, b""),
    "through CloudFront, 403": (403, {"x-cache": "Error from cloudfront"}, b' {"error": "Not yours"}'),
    "AWS API Gateway, authorizer, 401": (
        401,
        {"x-amzn-errortype": "UnauthorizedException", "content-type": JSON},
        b'{"message":"Unauthorized"}',
    ),
    "AWS API Gateway, authorizer, 403": (
        403,
        {"x-amzn-errortype": "AccessDeniedException:http://internal.amazon.com/", "content-type": JSON},
        b'{"Message":"User is not authorized to access this resource"}',
    ),
    "AWS API Gateway, expired token": (403, {"x-amzn-errortype": "ExpiredTokenException"}, b""),
    "AWS load balancer, JSON behind it": (403, {"server": "awselb/2.0"}, b'{"error": "Not yours"}'),
    "no credits": (402, {"content-type": JSON}, b'{"error": "No credits"}'),
}


@pytest.mark.parametrize(("status", "headers", "body"), INTERMEDIARIES.values(), ids=INTERMEDIARIES)
async def test_a_refusal_of_an_intermediary_is_an_outage_and_no_verdict_on_the_token(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    upstream, clock = FakeUpstream(), ManualClock()
    async with gateway(upstream, clock=clock.clock, stale_if_error_seconds=600) as client:
        first = await client.ask(NAMES)
        clock.step(60)
        upstream.answer(status, headers=headers, content=body)
        stale = await client.ask(NAMES)
        refusal = await client.ask("{ gallery(page: 2) { projects { projectName } } }")
        still = await client.ask(NAMES)

    assert stale["data"] == still["data"] == first["data"]
    assert stale["extensions"]["stale"][0]["reason"] == "UPSTREAM_UNAVAILABLE"
    assert refusal["errors"][0]["extensions"] == {"code": "UPSTREAM_UNAVAILABLE"}


@pytest.mark.parametrize(("status", "headers", "body"), API.values(), ids=API)
async def test_a_refusal_of_the_api_is_a_verdict_on_the_token(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    upstream, clock = FakeUpstream(), ManualClock()
    async with gateway(upstream, clock=clock.clock, stale_if_error_seconds=600) as client:
        await client.ask(NAMES)
        clock.step(60)
        upstream.answer(status, headers=headers, content=body)

        answer = await client.ask(NAMES)

    code = "UNAUTHENTICATED" if status == 401 else "FORBIDDEN"
    assert (answer["data"], answer["errors"][0]["extensions"]) == ({"gallery": None}, {"code": code})


@pytest.mark.parametrize(
    ("content_type", "code"), [(HTML, "UPSTREAM_UNAVAILABLE"), (JSON, "FORBIDDEN"), ("", "FORBIDDEN")]
)
async def test_a_refusal_whose_body_is_not_read_is_judged_by_its_type(content_type: str, code: str) -> None:
    upstream = FakeUpstream()
    upstream.answer(403, headers={"content-type": content_type}, content=b"<html>" + b" " * 70_000)
    async with gateway(upstream) as client:
        answer = await client.ask(NAMES)

    assert answer["errors"][0]["extensions"]["code"] == code


# An intermediary that answers in the place of the API with another status: no verdict either.
ELSEWHERE = {
    "captive portal, 200": (200, {"content-type": HTML}, b"<html>Sign in to the Wi-Fi</html>"),
    "login page": (302, {"location": "https://login.example/"}, b""),
    "proxy wants a password": (407, {"proxy-authenticate": "Basic"}, b"<html>"),
    "captive portal, RFC 6585": (511, {"content-type": HTML}, b"<html>"),
}


@pytest.mark.parametrize(("status", "headers", "body"), ELSEWHERE.values(), ids=ELSEWHERE)
async def test_a_page_in_the_place_of_an_answer_purges_nothing(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    upstream, clock = FakeUpstream(), ManualClock()
    async with gateway(upstream, clock=clock.clock, stale_if_error_seconds=600) as client:
        first = await client.ask(NAMES)
        clock.step(60)
        upstream.answer(status, headers=headers, content=body)

        stale = await client.ask(NAMES)

    assert stale["data"] == first["data"]
    assert "errors" not in stale
