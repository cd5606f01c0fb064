"""On which terms a request is answered, out of what its headers say; the same headers have the same terms."""

from functools import lru_cache

from gallery_gateway.edge import negotiation
from gallery_gateway.edge.caching import parse_wishes
from gallery_gateway.edge.headers import RawHeader
from gallery_gateway.edge.rules import (
    CONTROL,
    host_name,
    is_encoded,
    is_json,
    is_usual_json,
    nominated,
)
from gallery_gateway.edge.terms import Policy, Refusal, Terms, Told

# Clients spell their headers in few ways; those who do not must not fill the memory.
_MAX_TERMS = 128


class Guard:
    """Terms by what they depend on; the least recently asked for are forgotten.

    `allow` are the methods that are answered here.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.allow = b"GET, POST" if policy.allow_get else b"POST"
        self._vary = b"Authorization, Accept, Accept-Encoding" + (b", Origin" if policy.origins else b"")
        self._known = lru_cache(_MAX_TERMS)(self._terms)

    def terms(
        self, method: str, headers: dict[bytes, bytes], *, repeated: bytes | None, is_visit: bool
    ) -> Terms:
        """`repeated` is a header that came twice and must not; a visit comes by GET, and without a query."""
        get = headers.get
        is_preflighted = method != "GET" or bool(
            get(b"apollo-require-preflight") or get(b"x-apollo-operation-name")
        )
        return self._known(
            Told(
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

    def _terms(self, told: Told) -> Terms:
        policy = self._policy
        media_type = negotiation.preferred_media_type(
            told.accept.decode("latin-1"), offers_html=told.is_visit and policy.offers_page
        )
        is_page = media_type == negotiation.HTML
        is_preflight = (
            told.method == "OPTIONS" and told.wanted_method is not None and told.origin in policy.origins
        )
        refusal = self._distrust(told)
        if refusal is None and not is_page and not is_preflight:
            refusal = self._refusal(told, media_type)
        if media_type is None or (is_page and refusal):
            media_type = negotiation.JSON
        return Terms(
            media_type=media_type,
            refusal=refusal,
            is_preflight=is_preflight,
            wishes=parse_wishes(told.cache_control),
            reports=policy.always_reports or told.report == b"1",
            head=self._head(told, media_type, is_preflight=is_preflight),
        )

    def _distrust(self, told: Told) -> Refusal | None:
        """What no request may be like, whatever it asks for."""
        if told.repeated is not None:
            return Refusal(f"Send one {told.repeated.decode().title()} header only.")
        if any(CONTROL.search(value) for value in told if isinstance(value, bytes)):
            return Refusal("A header has a control character in it.")
        name = nominated(told.connection)
        if name is not None:
            return Refusal(f"The Connection header must not name {name.decode().title()}.")
        if self._policy.hosts and host_name(told.host or b"") not in self._policy.hosts:
            return Refusal("This host is not served here.", 421)
        return None

    def _refusal(self, told: Told, media_type: str | None) -> Refusal | None:
        if media_type is None:
            return Refusal("Accept application/graphql-response+json.", 406)
        if told.method == "POST":
            return _refused_body(told)
        if told.method != "GET" or not self._policy.allow_get:
            return Refusal("This method is not allowed here.", 405)
        return _refused_get(told) if self._policy.prevents_csrf else None

    def _head(self, told: Told, media_type: str, *, is_preflight: bool) -> tuple[RawHeader, ...]:
        origins = self._policy.origins
        content_type: RawHeader = (b"content-type", f"{media_type}; charset=utf-8".encode())
        own = origins.preflight_head(self.allow) if is_preflight else (content_type,)
        return (*own, (b"vary", self._vary), *self._policy.shield, *origins.head(told.origin))


def _refused_body(told: Told) -> Refusal | None:
    if not is_json(told.content_type):
        return Refusal("Send the body as application/json in UTF-8.", 415)
    if is_encoded(told.content_encoding):
        return Refusal("Send the body without Content-Encoding.", 415)
    return None


def _refused_get(told: Told) -> Refusal | None:
    """Refuse a GET that any web page could have sent without a preflight request.

    The rule is Apollo Server's of 2026-03 (GHSA-9q82-xgwf-vj6h; GHSA-hff2-gcpx-8f4p for Apollo Router): of
    content types only `application/json` is proof of a preflight request, since a browser has sent others
    without one. Odd spellings of it are no proof here, though Apollo accepts them.
    """
    if told.content_type.strip():
        if is_usual_json(told.content_type):
            return None
        return Refusal("A GET has no body: leave out Content-Type, or send application/json.", 415)
    if told.is_preflighted:
        return None
    return Refusal(
        "Any web page could have sent this GET."
        " Send the header `apollo-require-preflight: 1`, or `content-type: application/json`."
    )
