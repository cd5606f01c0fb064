"""Probes of how long a page may be kept: its links, and its caching headers."""

import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gallery_gateway.app.gallery import LINK_MARGIN_SECONDS
from gallery_gateway.upstream.caching import parse_caching_rules, parse_directives
from gallery_gateway.upstream.links import earliest_link_expiry, first_expiry
from gallery_gateway.verify.probe import Finding, differs, holds, not_seen, probe
from gallery_gateway.verify.session import NotSeenError, Response, Session

_SAMPLE = {"per_page": 3, "max_images_per_project": 10}

# The parameters of each form of signature, in the order in which they are looked for.
_FORMS = (
    ("S3 version 4", {"x-amz-date", "x-amz-expires"}),
    ("GCS version 4", {"x-goog-date", "x-goog-expires"}),
    ("CloudFront with a policy", {"policy", "key-pair-id"}),
    ("CloudFront", {"expires", "key-pair-id"}),
    ("S3 version 2", {"expires", "awsaccesskeyid"}),
    ("GCS version 2", {"expires", "googleaccessid"}),
    ("Azure", {"se", "sig"}),
)
# Signed for one method: they may refuse HEAD although they open.
_METHOD_FORMS = {"S3 version 4", "GCS version 4", "S3 version 2", "GCS version 2"}

_SIGNED = re.compile(r"(x-.+-)?(sig|signature|token|hmac|policy|exp|expir(y|es|ation))", re.IGNORECASE)


@probe(
    "links.signing",
    "Can the gateway read when links expire?",
    meaning="Cached pages may hold links that have expired.",
    setting="STALE_IF_ERROR_SECONDS=60",
    noticed=True,
)
async def signing(session: Session) -> Finding:
    _, links = await _sample(session)
    forms: dict[str, int] = {}
    for link in links:
        forms[_form(link)] = forms.get(_form(link), 0) + 1
    evidence = ", ".join(f"{count} {form}" for form, count in sorted(forms.items()))
    unread = [link for link in links if _is_signed(link) and first_expiry(link) is None]
    if unread:
        return differs(f"{evidence}; {len(unread)} signed without a readable expiry")
    return holds(evidence)


@probe(
    "links.lifetime",
    "Do links live longer than the gateway keeps a page?",
    meaning="Pages are kept only as long as their links live, which costs more calls.",
)
async def lifetime(session: Session) -> Finding:
    response, _ = await _sample(session)
    expiry = earliest_link_expiry(response.body)
    if expiry is None:
        return holds("no link says when it expires")
    seconds = expiry - time.time()
    needed_seconds = session.settings.cache_ttl_seconds + LINK_MARGIN_SECONDS
    evidence = f"the first link expires in {seconds:,.0f} s; the cache needs {needed_seconds:g} s"
    return differs(evidence) if seconds < needed_seconds else holds(evidence)


@probe(
    "links.open",
    "Does a link open without the token?",
    meaning="Browsers cannot show pictures by their links alone.",
    noticed=True,
)
async def opening(session: Session) -> Finding:
    if not session.with_links:
        return not_seen("only with --links")
    _, links = await _sample(session)
    link = next((link for link in links if urlsplit(link).scheme in {"http", "https"}), None)
    if link is None:
        return differs("no link is a URL of http or https")
    status = await session.head(link)
    if status < 400:
        return holds(f"HEAD without a token: {status}")
    if status == 405 or (status == 403 and _form(link) in _METHOD_FORMS):
        return not_seen(f"HEAD: {status}, which says nothing about GET")
    return differs(f"HEAD without a token: {status}")


@probe(
    "caching.validators",
    "If pages have an ETag, does If-None-Match save fetching them?",
    meaning="Every refresh of a page fetches it in full, as without an ETag.",
)
async def validators(session: Session) -> Finding:
    response = await session.get(_SAMPLE)
    etag = parse_caching_rules(response.headers).etag
    if etag is None:
        also = ", only a Last-Modified" if "last-modified" in response.headers else ""
        return holds(f"no usable ETag{also}: every refresh fetches the page in full")
    # With a page that changes all the time, the first ETag may be an old one.
    again = await session.get(_SAMPLE, etag=etag)
    if again.status == 304:
        return holds("304 on If-None-Match")
    is_changed = again.body != response.body
    return (
        not_seen("the page changed meanwhile") if is_changed else differs(f"{again.status} for the same page")
    )


@probe(
    "caching.freshness",
    "Do caching headers let the gateway keep a page?",
    meaning="The gateway follows them and keeps pages for a shorter time or not at all, which costs calls.",
)
async def freshness(session: Session) -> Finding:
    response = await session.get(_SAMPLE)
    rules = parse_caching_rules(response.headers)
    if not rules.is_storable:
        return differs("no-store: nothing is kept")
    if rules.lifetime_seconds is None:
        return holds("no lifetime: CACHE_TTL_SECONDS counts")
    evidence = f"fresh for {rules.lifetime_seconds:g} s"
    return (
        differs(evidence) if rules.lifetime_seconds < session.settings.cache_ttl_seconds else holds(evidence)
    )


@probe(
    "caching.callers",
    "Is a cache in front of the API kept from mixing callers?",
    meaning="A CDN or proxy between the gateway and the API may give one caller the page of another.",
    noticed=True,
)
async def callers(session: Session) -> Finding:
    headers = (await session.get(_SAMPLE)).headers
    directives = parse_directives(headers.get("cache-control", ""))
    varies = {name.strip() for name in headers.get("vary", "").lower().split(",")}
    allowed = sorted(directives.keys() & {"public", "s-maxage"})
    vary = (
        "Vary names Authorization" if varies & {"authorization", "*"} else "Vary does not name Authorization"
    )
    was_cached = headers.get("age", "0").strip() != "0"
    evidence = f"{', '.join(allowed) or 'neither public nor s-maxage'}; {vary}"
    evidence += "; the response has an Age" if was_cached else ""
    is_open = bool(allowed or was_cached) and not varies & {"authorization", "*"}
    return differs(evidence) if is_open else holds(evidence)


@probe(
    "caching.rate_limits",
    "Do calls one at a time stay below the rate limit?",
    meaning="The API limits reads to fewer calls than this command makes; clients get RATE_LIMITED.",
    setting="UPSTREAM_MAX_CONNECTIONS=10",
    noticed=True,
)
async def rate_limits(session: Session) -> Finding:
    if not session.responses and not session.rate_limited:
        raise NotSeenError(session.ended or "there was no response")
    names = {name for response in session.responses for name in response.headers if _LIMIT.fullmatch(name)}
    evidence = f"{len(session.rate_limited)} of {session.calls} calls got 429"
    if session.rate_limited:
        return differs(f"{evidence}, {sum(session.rate_limited)} of them with Retry-After")
    return holds(
        f"{evidence}; {f'{len(names)} headers say the limit' if names else 'no header says a limit'}"
    )


_LIMIT = re.compile(r"(x-)?rate-?limit(-(limit|remaining|reset|used|policy))?")


async def _sample(session: Session) -> tuple[Response, list[str]]:
    """Return a page, and the links in it.

    Raises:
        NotSeenError: it has no link.
    """
    await session.page(_SAMPLE)
    response = await session.get(_SAMPLE)
    links = list(_links(response.json))
    if not links:
        raise NotSeenError("no page had a link")
    return response, links


def _links(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            if name in {"full_size", "thumbnail"} and isinstance(member, str):
                yield member
            elif name in {"projects", "images", "inputs", "output"}:
                yield from _links(member)
    elif isinstance(value, list):
        for item in value:
            yield from _links(item)


def _names(link: str) -> set[str]:
    try:
        return {name.lower() for name in parse_qs(urlsplit(link).query, keep_blank_values=True)}
    except ValueError:
        return set()


def _form(link: str) -> str:
    names = _names(link)
    known = (form for form, needed in _FORMS if needed <= names)
    return next(known, "signed in another form" if _is_signed(link) else "unsigned")


def _is_signed(link: str) -> bool:
    return any(map(_SIGNED.fullmatch, _names(link)))


PROBES = (signing, lifetime, opening, validators, freshness, callers, rate_limits)
