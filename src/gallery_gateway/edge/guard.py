"""On which terms a request is answered, out of what its headers say; the same headers have the same terms."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gallery_gateway.edge import negotiation
from gallery_gateway.edge.caching import Wishes, parse_wishes
from gallery_gateway.edge.headers import RawHeader
from gallery_gateway.errors import RequestError

# Clients spell their headers in few ways; those who do not must not fill the memory.
_MAX_TERMS = 128


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not looked at any further."""

    message: str
    status: int

    def error(self) -> RequestError:
        """A new one each time: an exception that is raised again and again would gather tracebacks."""
        return RequestError(self.message, status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a request is answered.

    Args:
        media_type: of the answer.
        refusal: None if the request may become an operation.
        wishes: what the client will take of what is known.
        reports: whether the answer has the bill.
        head: the headers that all answers on these terms have.
    """

    media_type: str
    refusal: Refusal | None
    wishes: Wishes
    reports: bool
    head: tuple[RawHeader, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator has decided.

    Args:
        allow_get: whether queries may come by GET.
        offers_page: whether there is a page for browsers.
        always_reports: whether every answer has the bill, or only those that ask for it.
    """

    allow_get: bool
    offers_page: bool
    always_reports: bool


class _Told(NamedTuple):
    """What of a request its terms depend on, and nothing else: terms are kept under it."""

    method: str
    is_visit: bool
    repeated: bytes | None
    accept: bytes
    content_type: bytes
    cache_control: bytes
    report: bytes | None


class Guard:
    """Terms by what they depend on; the least recently asked for are forgotten.

    `allow` are the methods that are answered here.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.allow = b"GET, POST" if policy.allow_get else b"POST"
        self._known = lru_cache(_MAX_TERMS)(self._terms)

    def terms(
        self, method: str, headers: dict[bytes, bytes], *, repeated: bytes | None, is_visit: bool
    ) -> Terms:
        """`repeated` is a header that came twice and must not; a visit comes by GET, and without a query."""
        get = headers.get
        return self._known(
            _Told(
                method,
                is_visit,
                repeated,
                get(b"accept", b""),
                get(b"content-type", b""),
                get(b"cache-control", b""),
                get(b"x-gateway-report"),
            )
        )

    def _terms(self, told: _Told) -> Terms:
        policy = self._policy
        media_type = negotiation.preferred_media_type(
            told.accept.decode("latin-1"), offers_html=told.is_visit and policy.offers_page
        )
        refusal = None if media_type == negotiation.HTML else self._refusal(told, media_type)
        media_type = media_type or negotiation.JSON
        return Terms(
            media_type=media_type,
            refusal=refusal,
            wishes=parse_wishes(told.cache_control),
            reports=policy.always_reports or told.report == b"1",
            head=_head(media_type),
        )

    def _refusal(self, told: _Told, media_type: str | None) -> Refusal | None:
        if told.repeated is not None:
            return Refusal(f"Send one {told.repeated.decode().title()} header only.", 400)
        if media_type is None:
            return Refusal("Accept application/graphql-response+json.", 406)
        if told.method == "POST":
            if not _is_json(told.content_type):
                return Refusal("Send the body as application/json in UTF-8.", 415)
        elif told.method != "GET" or not self._policy.allow_get:
            return Refusal("This method is not allowed here.", 405)
        return None


def _is_json(content_type: bytes) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charset = next((p[8:].strip(b'"') for p in parameters if p.startswith(b"charset=")), b"utf-8")
    return media_type == b"application/json" and charset in {b"utf-8", b"utf8"}


def _head(media_type: str) -> tuple[RawHeader, ...]:
    return (
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"vary", b"Authorization, Accept, Accept-Encoding"),
        (b"x-content-type-options", b"nosniff"),
    )
