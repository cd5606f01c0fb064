"""How a request is handled, decided by its method and headers: rejection, media type, CORS, caching.

Equal headers have equal decisions, so the last ones are remembered.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gallery_gateway.edge.request import HTTPRequest
from gallery_gateway.edge.responses import RawHeader
from gallery_gateway.errors import RequestError

ALLOWED_METHODS = b"GET, POST"

_JSON = "application/json"
_GRAPHQL_RESPONSE = "application/graphql-response+json"
_HTML = "text/html"

# A tab is the only control character that a value may contain (RFC 9110, section 5.5).
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# The spellings that clients send. A browser that misreads an odd one might send it without a preflight.
_USUAL_JSON = re.compile(
    rb'[ \t]*application/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?', re.IGNORECASE
)
# A proxy that obeys `Connection` removes the headers that it lists (RFC 9110, section 7.6.1). Without
# one of these, the request would be another one.
_END_TO_END = frozenset(
    b"accept authorization cache-control content-encoding content-length content-type cookie host"
    b" if-none-match origin x-request-id".split()
)

_PAST_CACHE = frozenset({b"no-cache", b"no-store", b"max-age=0"})
_IF_ERROR = b"stale-if-error="

# Chromium remembers the answer to a preflight request for no longer than this.
_PREFLIGHT_MAX_AGE = b"7200"
# Pages can read the other headers of a response anyway.
_EXPOSED = b"Age, ETag, X-Request-ID"
_ALLOWED = (
    b"Apollo-Require-Preflight, Apollographql-Client-Name, Apollographql-Client-Version, Authorization,"
    b" Cache-Control, Content-Type, If-None-Match, Traceparent, Tracestate, X-Apollo-Operation-Name,"
    b" X-Gateway-Report, X-Request-ID"
)


class CacheDirectives(NamedTuple):
    """The `Cache-Control` header of a request.

    Args:
        skips_cache: whether the client accepts no cached page.
        if_error_seconds: the longest time past its freshness for which a page may answer if upstream fails.
    """

    skips_cache: bool
    if_error_seconds: float


def parse_directives(cache_control: bytes) -> CacheDirectives:
    """Return the directives (RFC 9111, section 5.2.1, and RFC 5861, section 4).

    A client that skips the cache accepts no stale page either.
    """
    directives = {part.strip().lower() for part in cache_control.split(b",")}
    skips_cache = not _PAST_CACHE.isdisjoint(directives)
    bounds = [name.removeprefix(_IF_ERROR) for name in directives if name.startswith(_IF_ERROR)]
    seconds = [float(bound) for bound in bounds if bound.isdigit() and len(bound) < 16]
    return CacheDirectives(skips_cache, min(seconds, default=0.0 if skips_cache else math.inf))


def negotiate(accept: str, *, offers_html: bool) -> str | None:
    """Return the preferred media type, JSON without any preference, or None if none is acceptable."""
    ranges = [_parse_media_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return _JSON

    def preference(offer: str) -> tuple[float, int]:
        """The quality of the most specific range for an offer; among equals the first range is preferred."""
        for name in (offer, offer.partition("/")[0] + "/*", "*/*"):
            for position, (media_range, quality) in enumerate(ranges):
                if media_range == name:
                    return quality, -position
        return 0.0, 0

    # Of equal preferences, max returns the first.
    best = max([_JSON, _GRAPHQL_RESPONSE, *([_HTML] if offers_html else [])], key=preference)
    return best if preference(best)[0] > 0 else None


def _parse_media_range(text: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_range, float(quality)
    except ValueError:
        return media_range, 0.0


class Rejection(NamedTuple):
    """The reason why a request is not read any further."""

    message: str
    status: int = 400

    def error(self) -> RequestError:
        """Return a new error, since one that is raised again and again collects tracebacks."""
        return RequestError(self.message, status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a request is answered.

    Args:
        rejection: None if the request may become an operation.
        is_preflight: whether this is the preflight request of a browser (CORS).
        shows_page: whether the response is the page for browsers.
        directives: the client's `Cache-Control`.
        reports: whether the response reports its upstream usage.
        request_error_status: the status of a response to an operation that was not executed.
        head: the headers of every response under this decision.
    """

    rejection: Rejection | None
    is_preflight: bool
    shows_page: bool
    directives: CacheDirectives
    reports: bool
    request_error_status: int
    head: tuple[RawHeader, ...]


class PolicyKey(NamedTuple):
    """Everything that a decision depends on."""

    method: str
    is_visit: bool
    is_preflighted: bool
    repeated_header: bytes | None
    accept: bytes
    content_type: bytes
    content_encoding: bytes
    cache_control: bytes
    connection: bytes
    report: bytes | None
    host: bytes | None
    origin: bytes | None
    preflight_method: bytes | None


# Clients use few combinations of headers; a client that varies them must not fill the memory.
_MAX_DECISIONS = 128


class Policy:
    """The operator's rules for requests.

    Args:
        prevents_csrf: whether a GET that any web page could send is rejected.
        has_page: whether there is a page for browsers.
        always_reports: whether every response reports its upstream usage, or only on request.
        hosts: the host names that are served; empty means any.
        origins: the origins whose pages may read responses.
        security_headers: headers of every response.
    """

    def __init__(
        self,
        *,
        prevents_csrf: bool = True,
        has_page: bool = False,
        always_reports: bool = False,
        hosts: tuple[str, ...] = (),
        origins: tuple[str, ...] = (),
        security_headers: tuple[RawHeader, ...] = (),
    ) -> None:
        self._prevents_csrf = prevents_csrf
        self._has_page = has_page
        self._always_reports = always_reports
        self._hosts = hosts
        self._origins = frozenset(origin.encode() for origin in origins)
        vary = b"Authorization, Accept, Accept-Encoding" + (b", Origin" if origins else b"")
        self._head = ((b"vary", vary), *security_headers)
        self._remembered = lru_cache(_MAX_DECISIONS)(self._decide)

    def decide(self, request: HTTPRequest) -> Decision:
        method, get = request.method, request.headers.get
        is_get = method == "GET"
        return self._remembered(
            PolicyKey(
                method,
                # A GET without an operation is a person with a browser, or a mistake.
                is_get and not request.has_document_parameter,
                not is_get or bool(get(b"apollo-require-preflight") or get(b"x-apollo-operation-name")),
                request.repeated_header,
                get(b"accept", b""),
                get(b"content-type", b""),
                get(b"content-encoding", b""),
                get(b"cache-control", b""),
                get(b"connection", b""),
                get(b"x-gateway-report"),
                get(b"host") if self._hosts else None,
                get(b"origin") if self._origins else None,
                get(b"access-control-request-method"),
            )
        )

    def _decide(self, key: PolicyKey) -> Decision:
        media_type = negotiate(key.accept.decode("latin-1"), offers_html=key.is_visit and self._has_page)
        is_preflight = (
            key.method == "OPTIONS" and key.preflight_method is not None and key.origin in self._origins
        )
        rejection = self._reject_unsafe(key)
        shows_page = media_type == _HTML and rejection is None
        if rejection is None and not shows_page and not is_preflight:
            rejection = self._reject_unsupported(key, media_type)
        if media_type is None or (media_type == _HTML and not shows_page):
            media_type = _JSON
        return Decision(
            rejection=rejection,
            is_preflight=is_preflight,
            shows_page=shows_page,
            directives=parse_directives(key.cache_control),
            reports=self._always_reports or key.report == b"1",
            # Under application/json, a well-formed request always gets 200 (GraphQL over HTTP, 6.4.1).
            request_error_status=400 if media_type == _GRAPHQL_RESPONSE else 200,
            head=self._headers(key, media_type, is_preflight=is_preflight),
        )

    def _reject_unsafe(self, key: PolicyKey) -> Rejection | None:
        """Return a rejection for headers that no request may have, whatever it asks for."""
        if key.repeated_header is not None:
            return Rejection(f"Send the {key.repeated_header.decode().title()} header only once.")
        if any(_CONTROL.search(value) for value in key if isinstance(value, bytes)):
            return Rejection("A header contains a control character.")
        listed = {part.strip().lower() for part in key.connection.split(b",")}
        name = min(listed & _END_TO_END, default=None)
        if name is not None:
            return Rejection(f"The Connection header must not list {name.decode().title()}.")
        if self._hosts and _host_name(key.host or b"") not in self._hosts:
            return Rejection("This host is not served here.", 421)
        return None

    def _reject_unsupported(self, key: PolicyKey, media_type: str | None) -> Rejection | None:
        if media_type is None:
            return Rejection(f"Accept {_GRAPHQL_RESPONSE} or {_JSON}.", 406)
        if key.method == "POST":
            return _reject_body(key)
        if key.method != "GET":
            return Rejection("This method is not allowed; use GET or POST.", 405)
        return _reject_forgeable(key) if self._prevents_csrf else None

    def _headers(self, key: PolicyKey, media_type: str, *, is_preflight: bool) -> tuple[RawHeader, ...]:
        headers: list[RawHeader] = []
        if is_preflight:
            headers += [
                (b"access-control-allow-methods", ALLOWED_METHODS),
                (b"access-control-allow-headers", _ALLOWED),
                (b"access-control-max-age", _PREFLIGHT_MAX_AGE),
            ]
        else:
            headers.append((b"content-type", f"{media_type}; charset=utf-8".encode()))
        if key.origin in self._origins and key.origin is not None:
            headers.append((b"access-control-allow-origin", key.origin))
            headers.append((b"access-control-expose-headers", _EXPOSED))
        return (*headers, *self._head)


def _host_name(host: bytes) -> str:
    """Return the name in a Host header, without its port."""
    name = host.strip().lower().decode("latin-1")
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def _reject_body(key: PolicyKey) -> Rejection | None:
    media_type, *parameters = (part.strip().lower() for part in key.content_type.split(b";"))
    charset = next((p[8:].strip(b'"') for p in parameters if p.startswith(b"charset=")), b"utf-8")
    if media_type != b"application/json" or charset not in {b"utf-8", b"utf8"}:
        return Rejection("Send the body as application/json in UTF-8.", 415)
    if key.content_encoding.strip().lower() not in {b"", b"identity"}:
        return Rejection("Send the body without Content-Encoding.", 415)
    return None


def _reject_forgeable(key: PolicyKey) -> Rejection | None:
    """Return a rejection for a GET that any web page could have sent without a preflight request.

    The rule is Apollo Server's of 2026-03 (GHSA-9q82-xgwf-vj6h; GHSA-hff2-gcpx-8f4p for Apollo Router): of
    all content types, only `application/json` proves a preflight request, since a browser has sent others
    without one. Unlike Apollo, this accepts only its usual spellings.
    """
    if key.content_type.strip():
        if _USUAL_JSON.fullmatch(key.content_type):
            return None
        return Rejection("A GET has no body: omit Content-Type, or send application/json.", 415)
    if key.is_preflighted:
        return None
    return Rejection(
        "Any web page could have sent this GET."
        " Add the header `apollo-require-preflight: 1` or `content-type: application/json`."
    )
