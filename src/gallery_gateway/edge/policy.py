"""How a request is handled, decided by its method and headers: rejection, media type, CORS, caching.

Equal headers have equal decisions, so the last ones are remembered.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from gallery_gateway.edge.request import HTTPRequest
from gallery_gateway.edge.responses import RawHeader
from gallery_gateway.upstream.caching import parse_directives, shortest_seconds

ALLOWED_METHODS = b"GET, HEAD, POST"
WRONG_HOST = "This host is not served here."

_JSON = "application/json"
_GRAPHQL_RESPONSE = "application/graphql-response+json"
_HTML = "text/html"
_EVENTS = "text/event-stream"

# Parameters that select a document; `extensions` may contain the hash of one.
_DOCUMENT = re.compile(rb"(?:^|&)(query|documentId|doc_id|extensions)(?:=|&|$)")
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

# Pages can read the other headers of a response anyway.
_EXPOSED = b"Age, ETag, Retry-After, X-Request-ID"
# The name of a header (RFC 9110, section 5.6.2).
_TOKEN = re.compile(rb"[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*")
_MAX_HEADER_LIST_BYTES = 1024
_REQUESTED_HEADERS = b"access-control-request-headers"
_PREFLIGHT_HEAD: tuple[RawHeader, ...] = (
    (b"access-control-allow-methods", ALLOWED_METHODS),
    # Chromium remembers the answer for no longer than this.
    (b"access-control-max-age", b"7200"),
    # Some CDNs can cache the answer.
    (b"vary", b"Access-Control-Request-Headers"),
)


def _preflight_head(requested: bytes) -> list[RawHeader]:
    """Return the headers that allow what the page of an allowed origin asks for.

    The gateway reads few headers and ignores the others, so any may be sent: libraries for tracing and error
    reports add their own. A list that no browser sends allows none.
    """
    head = list(_PREFLIGHT_HEAD)
    if len(requested) <= _MAX_HEADER_LIST_BYTES and all(map(_TOKEN.fullmatch, requested.split(b","))):
        head.append((b"access-control-allow-headers", requested))
    return head


def _cache_directives(cache_control: str) -> tuple[bool, float]:
    """Return `skips_cache` and `if_error_seconds` (RFC 9111, section 5.2.1, and RFC 5861, section 4).

    A client that skips the cache accepts no stale page either.
    """
    directives = parse_directives(cache_control)
    skips_cache = not directives.keys().isdisjoint({"no-cache", "no-store"})
    skips_cache = skips_cache or shortest_seconds(directives, "max-age") == 0
    if_error_seconds = shortest_seconds(directives, "stale-if-error")
    if if_error_seconds is None:
        if_error_seconds = 0.0 if skips_cache else math.inf
    return skips_cache, if_error_seconds


def negotiate(accept: str, *, offers_html: bool) -> str | None:
    """Return the preferred media type, JSON without any preference, or None if none is acceptable.

    Only clients that name event streams are sent one.
    """
    ranges = _parse_accept(accept)
    if not ranges:
        return _JSON

    def preference(offer: str) -> tuple[float, int]:
        """The quality of the most specific range for an offer; among equals the first range is preferred."""
        for name in (offer,) if offer == _EVENTS else (offer, offer.partition("/")[0] + "/*", "*/*"):
            for position, (media_range, quality) in enumerate(ranges):
                if media_range == name:
                    return quality, -position
        return 0.0, 0

    # Of equal preferences, max returns the first.
    best = max([_JSON, _GRAPHQL_RESPONSE, _EVENTS, *([_HTML] if offers_html else [])], key=preference)
    return best if preference(best)[0] > 0 else None


def _parse_accept(accept: str) -> list[tuple[str, float]]:
    return [_parse_media_range(part) for part in accept.split(",") if part.strip()]


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


class RequestedReport(Enum):
    """What a response reports: the calls that were made, or instead of making them those that would be."""

    USAGE = "1"
    PLAN = "plan"


_REPORTS = {report.value.encode(): report for report in RequestedReport}
# `0` means the same as no header.
_NO_REPORT = frozenset({b"", b"0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a request is answered.

    Args:
        rejection: None if the request may become an operation.
        is_preflight: whether this is the preflight request of a browser (CORS).
        if_error_seconds: how long past its freshness a page may answer if upstream fails.
        report: what the response reports about upstream calls; None for nothing.
        is_report_requested: whether the request asks for the report: no other request gets this response.
        prefers_events: whether the response to a query is sent as a stream of one event.
        event_head: the headers of an event stream; None if the client accepts none.
        request_error_status: the status of a response to an operation that was not executed.
        head: the headers of every response under this decision.
    """

    rejection: Rejection | None
    is_preflight: bool
    shows_page: bool
    skips_cache: bool
    if_error_seconds: float
    report: RequestedReport | None
    is_report_requested: bool
    prefers_events: bool
    event_head: tuple[RawHeader, ...] | None
    request_error_status: int
    head: tuple[RawHeader, ...]


# Decisions depend on these headers. Host and Origin count only where the operator has named some, and of the
# headers that prove a preflight request only that there is one.
_HEADERS = tuple(
    b"accept content-type content-encoding cache-control connection x-gateway-report"
    b" access-control-request-method".split()
)


@dataclass(kw_only=True)
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

    prevents_csrf: bool = True
    has_page: bool = False
    always_reports: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    security_headers: tuple[RawHeader, ...] = ()

    def __post_init__(self) -> None:
        self._origins = frozenset(origin.encode() for origin in self.origins)
        for_hosts = (b"host",) if self.hosts else ()
        for_origins = (b"origin", _REQUESTED_HEADERS) if self.origins else ()
        self._header_names = (*_HEADERS, *for_hosts, *for_origins)
        # Browsers may keep the response to a GET: it answers no request for a plan or a report.
        vary = b"Authorization, Accept, Accept-Encoding, X-Gateway-Report"
        vary += b", Origin" if self.origins else b""
        self._head = ((b"vary", vary), *self.security_headers)
        # Clients use few combinations of headers; a client that varies them must not fill the memory.
        self._remembered = lru_cache(maxsize=128)(self._decide)

    def decide(self, request: HTTPRequest) -> Decision:
        method, get = request.method, request.headers.get
        is_get = method == "GET"
        is_preflighted = is_get and bool(get(b"apollo-require-preflight") or get(b"x-apollo-operation-name"))
        document = _DOCUMENT.search(request.query_string) if is_get else None
        # A GET without an operation comes from a person with a browser, and so does one with a `query` and
        # without what clients send beside it: the page shows the operation and does not run it.
        is_visit = is_get and (
            document is None or (document[1] == b"query" and not is_preflighted and not get(b"content-type"))
        )
        values = tuple(map(get, self._header_names))
        return self._remembered(method, is_visit, is_preflighted, request.repeated_header, values)

    def _decide(
        self,
        method: str,
        is_visit: bool,  # noqa: FBT001  # lru_cache is faster without names
        is_preflighted: bool,  # noqa: FBT001  # see above
        repeated_header: bytes | None,
        values: tuple[bytes | None, ...],
    ) -> Decision:
        given = zip(self._header_names, values, strict=True)
        headers = {name: value for name, value in given if value is not None}
        origin = headers.get(b"origin")
        is_preflight = (
            method == "OPTIONS" and b"access-control-request-method" in headers and origin in self._origins
        )
        accept = headers.get(b"accept", b"").decode("latin-1")
        media_type = negotiate(accept, offers_html=is_visit and self.has_page)
        rejection = self._reject_unsafe(headers, repeated_header)
        shows_page = media_type == _HTML and rejection is None
        accepts_events = any(name == _EVENTS and quality > 0 for name, quality in _parse_accept(accept))
        if rejection is None and not shows_page and not is_preflight:
            rejection = self._reject_unsupported(method, headers, media_type, is_preflighted=is_preflighted)
        shared_head = self._shared_head(origin)
        # A response that is no stream after all is JSON.
        is_json = media_type in {None, _EVENTS} or (media_type == _HTML and not shows_page)
        content_type = _content_type(_JSON if is_json else str(media_type))
        requested = headers.get(_REQUESTED_HEADERS, b"")
        head = _preflight_head(requested) if is_preflight else [content_type]
        cache_control = headers.get(b"cache-control", b"").decode("latin-1")
        skips_cache, if_error_seconds = _cache_directives(cache_control)
        requested_report = _REPORTS.get(_report_value(headers))
        return Decision(
            rejection=rejection,
            is_preflight=is_preflight,
            shows_page=shows_page,
            skips_cache=skips_cache,
            if_error_seconds=if_error_seconds,
            report=requested_report or (RequestedReport.USAGE if self.always_reports else None),
            is_report_requested=requested_report is not None,
            # Under application/json, a well-formed request always gets 200 (GraphQL over HTTP, 6.4.1).
            request_error_status=400 if media_type == _GRAPHQL_RESPONSE else 200,
            prefers_events=media_type == _EVENTS,
            event_head=(_content_type(_EVENTS), *shared_head) if accepts_events else None,
            head=(*head, *shared_head),
        )

    def _shared_head(self, origin: bytes | None) -> tuple[RawHeader, ...]:
        """Return the headers of every response, as JSON or as a stream."""
        if origin is None or origin not in self._origins:
            return self._head
        allowed = (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)
        return *self._head, *allowed

    def _reject_unsafe(self, headers: dict[bytes, bytes], repeated_header: bytes | None) -> Rejection | None:
        """Return a rejection for headers that no request may have, whatever it asks for."""
        if repeated_header is not None:
            return Rejection(f"Send the {repeated_header.decode().title()} header only once.")
        if any(map(_CONTROL.search, headers.values())):
            return Rejection("A header contains a control character.")
        listed = {part.strip().lower() for part in headers.get(b"connection", b"").split(b",")}
        name = min(listed & _END_TO_END, default=None)
        if name is not None:
            return Rejection(f"The Connection header must not list {name.decode().title()}.")
        if not self.serves_host(headers.items()):
            return Rejection(WRONG_HOST, 421)
        return None

    def serves_host(self, headers: Iterable[RawHeader]) -> bool:
        """Return whether any host is served, or the one that a single Host header names."""
        given = [_host_name(value) for name, value in headers if name == b"host"]
        return not self.hosts or (len(given) == 1 and given[0] in self.hosts)

    def _reject_unsupported(
        self, method: str, headers: dict[bytes, bytes], media_type: str | None, *, is_preflighted: bool
    ) -> Rejection | None:
        if media_type is None:
            return Rejection(f"Accept {_GRAPHQL_RESPONSE} or {_JSON}.", 406)
        if _report_value(headers) not in _REPORTS.keys() | _NO_REPORT:
            # A plan that is misspelled must not run the operation.
            return Rejection("X-Gateway-Report must be `plan`, `1` or `0`.")
        content_type = headers.get(b"content-type", b"")
        if method == "POST":
            return _reject_body(content_type, headers.get(b"content-encoding", b""))
        if method != "GET":
            return Rejection("This method is not allowed; use GET or POST.", 405)
        return _reject_forgeable(content_type, is_preflighted=is_preflighted) if self.prevents_csrf else None


def _content_type(media_type: str) -> RawHeader:
    return b"content-type", f"{media_type}; charset=utf-8".encode()


def _report_value(headers: dict[bytes, bytes]) -> bytes:
    return headers.get(b"x-gateway-report", b"").strip().lower()


def _host_name(host: bytes) -> str:
    """Return the name in a Host header, without its port."""
    name = host.strip().lower().decode("latin-1")
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def _reject_body(content_type: bytes, content_encoding: bytes) -> Rejection | None:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charset = next((p[8:].strip(b'"') for p in parameters if p.startswith(b"charset=")), b"utf-8")
    if media_type != b"application/json" or charset not in {b"utf-8", b"utf8"}:
        return Rejection("Send the body as application/json in UTF-8.", 415)
    if content_encoding.strip().lower() not in {b"", b"identity"}:
        return Rejection("Send the body without Content-Encoding.", 415)
    return None


def _reject_forgeable(content_type: bytes, *, is_preflighted: bool) -> Rejection | None:
    """Return a rejection for a GET that any web page could have sent without a preflight request.

    The rule is Apollo Server's of 2026-03 (GHSA-9q82-xgwf-vj6h; GHSA-hff2-gcpx-8f4p for Apollo Router): of
    all content types, only `application/json` proves a preflight request, since a browser has sent others
    without one. Unlike Apollo, this accepts only its usual spellings.
    """
    if content_type.strip():
        if _USUAL_JSON.fullmatch(content_type):
            return None
        return Rejection("A GET has no body: omit Content-Type, or send application/json.", 415)
    if is_preflighted:
        return None
    return Rejection(
        "Any web page could have sent this GET."
        " Add the header `apollo-require-preflight: 1` or `content-type: application/json`."
    )
