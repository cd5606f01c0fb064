"""What terms there are for answering a request, and what they depend on."""

from dataclasses import dataclass, field
from typing import NamedTuple

from gallery_gateway.edge.caching import Wishes
from gallery_gateway.edge.cors import Origins
from gallery_gateway.edge.headers import RawHeader
from gallery_gateway.edge.shield import shield_headers
from gallery_gateway.errors import RequestError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not looked at any further."""

    message: str
    status: int = 400

    def error(self) -> RequestError:
        """A new one each time: an exception that is raised again and again would gather tracebacks."""
        return RequestError(self.message, status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a request is answered.

    Args:
        media_type: of the answer.
        refusal: None if the request may become an operation.
        is_preflight: whether a browser asks what it may send, and nothing else (CORS).
        wishes: what the client will take of what is known.
        reports: whether the answer has the bill.
        head: the headers that all answers on these terms have.
    """

    media_type: str
    refusal: Refusal | None
    is_preflight: bool
    wishes: Wishes
    reports: bool
    head: tuple[RawHeader, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator has decided.

    Args:
        allow_get: whether queries may come by GET.
        prevents_csrf: whether a GET that any web page could send is refused.
        offers_page: whether there is a page for browsers.
        always_reports: whether every answer has the bill, or only those that ask for it.
        hosts: the names that are answered to; empty = any.
        origins: whose pages may read answers.
        shield: the headers that keep browsers from misusing an answer.
    """

    allow_get: bool = True
    prevents_csrf: bool = True
    offers_page: bool = False
    always_reports: bool = False
    hosts: tuple[str, ...] = ()
    origins: Origins = field(default_factory=lambda: Origins((), max_age_seconds=0))
    shield: tuple[RawHeader, ...] = field(default_factory=shield_headers)


class Told(NamedTuple):
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
