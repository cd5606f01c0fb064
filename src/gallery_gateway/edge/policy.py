"""How a request is handled, decided by its headers alone: media type, CORS, CSRF, refusals.

The same headers have the same decision, so that it is remembered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from gallery_gateway.edge.caching import CacheDirectives, parse_directives
from gallery_gateway.edge.headers import RawHeader, shield_headers
from gallery_gateway.errors import RequestError

# Tab is allowed in a value (RFC 9110, section 5.5), and nothing else below space.
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# The spellings that clients send: a browser that misreads an odd one might send it without a preflight.
_USUAL_JSON = re.compile(
    rb'[ \t]*application/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?', re.IGNORECASE
)

# What a proxy that obeys `Connection` takes away on the way here (RFC 9110, section 7.6.1).
_END_TO_END = frozenset(
    {
        b"accept",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"if-none-match",
        b"origin",
        b"x-request-id",
    }
)

_TOKEN_NAMES = frozenset(
    {
        "accesstoken",
        "apikey",
        "auth",
        "authorization",
        "authtoken",
        "bearer",
        "bearertoken",
        "idtoken",
        "jwt",
        "token",
        "xapikey",
    }
)


def is_json(content_type: bytes) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charset = next((p[8:].strip(b'"') for p in parameters if p.startswith(b"charset=")), b"utf-8")
    return media_type == b"application/json" and charset in {b"utf-8", b"utf8"}


def is_usual_json(content_type: bytes) -> bool:
    """Return whether it is `application/json`, usually spelt, with no parameter but `charset=utf-8`."""
    return _USUAL_JSON.fullmatch(content_type) is not None


def is_encoded(content_encoding: bytes) -> bool:
    return content_encoding.strip().lower() not in {b"", b"identity"}


def nominated(connection: bytes) -> bytes | None:
    """A header of the request itself that `Connection` calls one of the connection only."""
    names = {part.strip().lower() for part in connection.split(b",")}
    return min(names & _END_TO_END, default=None)


def host_name(host: bytes) -> str:
    """The name in a Host header, without its port."""
    name = host.strip().lower().decode("latin-1")
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def has_token(query_string: bytes) -> bool:
    """Whether the query string has a parameter that is named as tokens are."""
    names = (name for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
    return any(name.lower().replace("_", "").replace("-", "") in _TOKEN_NAMES for name in names)


JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
HTML = "text/html"

_Range = tuple[str, float]
"""A media range, and its quality."""


def preferred_media_type(accept: str, *, offers_html: bool) -> str | None:
    """The best of JSON, GRAPHQL_RESPONSE and HTML; JSON if anything goes, None if none of them does.

    Args:
        accept: the values of all Accept headers, as one list.
        offers_html: whether there is a page to give.
    """
    ranges = [_parse_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return JSON
    offers = [JSON, GRAPHQL_RESPONSE, *([HTML] if offers_html else [])]
    acceptable = [
        (quality, place, offer)
        for offer in offers
        for quality, place in _most_specific(ranges, offer)
        if quality > 0
    ]
    # Among equals the first named wins, and then the first offered (min keeps their order).
    return min(acceptable, key=lambda found: (-found[0], found[1]), default=(0, 0, None))[2]


def _most_specific(ranges: Sequence[_Range], offer: str) -> list[tuple[float, int]]:
    """Quality and place of the range that says most about `offer`; empty if none says anything."""
    for name in (offer, offer.partition("/")[0] + "/*", "*/*"):
        for place, (media_range, quality) in enumerate(ranges):
            if media_range == name:
                return [(quality, place)]
    return []


def _parse_range(text: str) -> _Range:
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_range, float(quality)
    except ValueError:
        return media_range, 0.0


ALLOWED_METHODS = b"GET, POST"

# Chromium keeps the answer to a preflight request for no longer than this.
_PREFLIGHT_SECONDS = 7_200
# Beyond those that a page may read anyway.
_EXPOSED = b"Age, ETag, X-Request-ID"
_ALLOWED = (
    b"Apollo-Require-Preflight, Apollographql-Client-Name, Apollographql-Client-Version, Authorization,"
    b" Cache-Control, Content-Type, If-None-Match, Traceparent, Tracestate, X-Apollo-Operation-Name,"
    b" X-Gateway-Report, X-Request-ID"
)


class Origins:
    """The origins whose pages may read answers.

    Args:
        origins: as browsers send them.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def __contains__(self, origin: bytes | None) -> bool:
        return origin in self._origins

    def head(self, origin: bytes | None) -> tuple[RawHeader, ...]:
        """What an answer to `origin` has."""
        if origin is None or origin not in self._origins:
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
        )

    def preflight_head(self) -> tuple[RawHeader, ...]:
        """What the answer to a preflight request has beside."""
        return (
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", _ALLOWED),
            (b"access-control-max-age", b"%d" % _PREFLIGHT_SECONDS),
        )


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a request is not looked at any further."""

    message: str
    status: int = 400

    def error(self) -> RequestError:
        """A new one each time: an exception that is raised again and again would gather tracebacks."""
        return RequestError(self.message, status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a request is answered.

    Args:
        media_type: of the answer.
        refusal: None if the request may become an operation.
        is_preflight: whether a browser asks what it may send, and nothing else (CORS).
        directives: what the client will take of what is known.
        reports: whether the answer has the bill.
        head: the headers that all answers on these terms have.
    """

    media_type: str
    refusal: Rejection | None
    is_preflight: bool
    directives: CacheDirectives
    reports: bool
    head: tuple[RawHeader, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator has decided.

    Args:
        prevents_csrf: whether a GET that any web page could send is refused.
        offers_page: whether there is a page for browsers.
        always_reports: whether every answer has the bill, or only those that ask for it.
        hosts: the names that are answered to; empty = any.
        origins: whose pages may read answers.
        shield: the headers that keep browsers from misusing an answer.
    """

    prevents_csrf: bool = True
    offers_page: bool = False
    always_reports: bool = False
    hosts: tuple[str, ...] = ()
    origins: Origins = field(default_factory=lambda: Origins(()))
    shield: tuple[RawHeader, ...] = field(default_factory=shield_headers)


class PolicyKey(NamedTuple):
    """What of a request its terms depend on, and nothing else: terms are kept under it."""

    method: str
    is_visit: bool
    is_preflighted: bool
    repeated: bytes | None
    accept: bytes
    content_type: bytes
    content_encoding: bytes
    cache_control: bytes
    connection: bytes
    report: bytes | None
    host: bytes | None
    origin: bytes | None
    wanted_method: bytes | None


# Clients spell their headers in few ways; those who do not must not fill the memory.
_MAX_TERMS = 128


class Guard:
    """Terms by what they depend on; the least recently asked for are forgotten."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._vary = b"Authorization, Accept, Accept-Encoding" + (b", Origin" if policy.origins else b"")
        self._known = lru_cache(_MAX_TERMS)(self._decision)

    def decision(
        self, method: str, headers: dict[bytes, bytes], *, repeated: bytes | None, is_visit: bool
    ) -> Decision:
        """`repeated` is a header that came twice and must not; a visit comes by GET, and without a query."""
        get = headers.get
        is_preflighted = method != "GET" or bool(
            get(b"apollo-require-preflight") or get(b"x-apollo-operation-name")
        )
        return self._known(
            PolicyKey(
                method,
                is_visit,
                is_preflighted,
                repeated,
                get(b"accept", b""),
                get(b"content-type", b""),
                get(b"content-encoding", b""),
                get(b"cache-control", b""),
                get(b"connection", b""),
                get(b"x-gateway-report"),
                get(b"host") if self._policy.hosts else None,
                get(b"origin") if self._policy.origins else None,
                get(b"access-control-request-method"),
            )
        )

    def _decision(self, told: PolicyKey) -> Decision:
        policy = self._policy
        media_type = preferred_media_type(
            told.accept.decode("latin-1"), offers_html=told.is_visit and policy.offers_page
        )
        is_page = media_type == HTML
        is_preflight = (
            told.method == "OPTIONS" and told.wanted_method is not None and told.origin in policy.origins
        )
        refusal = self._distrust(told)
        if refusal is None and not is_page and not is_preflight:
            refusal = self._refusal(told, media_type)
        if media_type is None or (is_page and refusal):
            media_type = JSON
        return Decision(
            media_type=media_type,
            refusal=refusal,
            is_preflight=is_preflight,
            directives=parse_directives(told.cache_control),
            reports=policy.always_reports or told.report == b"1",
            head=self._head(told, media_type, is_preflight=is_preflight),
        )

    def _distrust(self, told: PolicyKey) -> Rejection | None:
        """What no request may be like, whatever it asks for."""
        if told.repeated is not None:
            return Rejection(f"Send one {told.repeated.decode().title()} header only.")
        if any(CONTROL.search(value) for value in told if isinstance(value, bytes)):
            return Rejection("A header has a control character in it.")
        name = nominated(told.connection)
        if name is not None:
            return Rejection(f"The Connection header must not name {name.decode().title()}.")
        if self._policy.hosts and host_name(told.host or b"") not in self._policy.hosts:
            return Rejection("This host is not served here.", 421)
        return None

    def _refusal(self, told: PolicyKey, media_type: str | None) -> Rejection | None:
        if media_type is None:
            return Rejection("Accept application/graphql-response+json.", 406)
        if told.method == "POST":
            return _refused_body(told)
        if told.method != "GET":
            return Rejection("This method is not allowed here.", 405)
        return _refused_get(told) if self._policy.prevents_csrf else None

    def _head(self, told: PolicyKey, media_type: str, *, is_preflight: bool) -> tuple[RawHeader, ...]:
        origins = self._policy.origins
        content_type: RawHeader = (b"content-type", f"{media_type}; charset=utf-8".encode())
        own = origins.preflight_head() if is_preflight else (content_type,)
        return (*own, (b"vary", self._vary), *self._policy.shield, *origins.head(told.origin))


def _refused_body(told: PolicyKey) -> Rejection | None:
    if not is_json(told.content_type):
        return Rejection("Send the body as application/json in UTF-8.", 415)
    if is_encoded(told.content_encoding):
        return Rejection("Send the body without Content-Encoding.", 415)
    return None


def _refused_get(told: PolicyKey) -> Rejection | None:
    """Refuse a GET that any web page could have sent without a preflight request.

    The rule is Apollo Server's of 2026-03 (GHSA-9q82-xgwf-vj6h; GHSA-hff2-gcpx-8f4p for Apollo Router): of
    content types only `application/json` is proof of a preflight request, since a browser has sent others
    without one. Odd spellings of it are no proof here, though Apollo accepts them.
    """
    if told.content_type.strip():
        if is_usual_json(told.content_type):
            return None
        return Rejection("A GET has no body: leave out Content-Type, or send application/json.", 415)
    if told.is_preflighted:
        return None
    return Rejection(
        "Any web page could have sent this GET."
        " Send the header `apollo-require-preflight: 1`, or `content-type: application/json`."
    )
