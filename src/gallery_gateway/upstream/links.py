"""When the links of a page expire, if they say so themselves (open question 5 of the REST contract)."""

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote

import msgspec

from gallery_gateway.upstream.caching import parse_seconds
from gallery_gateway.upstream.contract import Page, UpstreamImage, UpstreamImageFile, UpstreamProject

# The part of a link that says when it expires, as it stands in JSON; some encoders escape the ampersand.
_SIGNING = re.compile(rb"X-(Amz|Goog)-Date=(\w+)(?:&|\\u0026)X-\1-Expires=(\d+)(?:&|\\u0026)")


def earliest_link_expiry(body: bytes, parse: Callable[[bytes], Page]) -> float | None:
    """Return when the first link of a page expires, in seconds since 1970, or `None` if no link says so.

    Usually all links are signed at the same moment. The JSON is parsed only if they are not: counting in it
    takes a twentieth of that time.
    """
    # Removing bytes is five times as fast as counting them (CPython 3.11 to 3.13).
    questions = len(body) - len(body.replace(b"?", b""))
    if not questions and b"\\u003" not in body:
        return None
    signing = _SIGNING.search(body)
    if signing is not None and body.count(signing[0]) == questions:
        return _dated_expiry(signing[2].decode(), signing[3].decode())
    moments = (link_expiry(url) for url in _links(parse(body)))
    return min((moment for moment in moments if moment is not None), default=None)


def link_expiry(url: str) -> float | None:
    """Return when the link expires, in seconds since 1970, or `None` if it does not say so.

    Understands S3 and GCS (version 4: `X-Amz-Date` or `X-Goog-Date` with `-Expires`; version 2: `Expires`),
    CloudFront (`Expires`, or a custom `Policy`) and Azure (`se`).
    """
    _, _, query = url.partition("?")
    if not query:
        return None
    for vendor in ("X-Amz-", "X-Goog-"):
        if vendor in query:
            return _dated_expiry(_parameter(query, vendor + "Date"), _parameter(query, vendor + "Expires"))
    if "Expires=" in query:
        expires_at = _parameter(query, "Expires")
        return parse_seconds(expires_at) if len(expires_at) < 16 else None
    if "Policy=" in query:
        return _policy_expiry(_parameter(query, "Policy"))
    if "se=" in query:
        return _azure_expiry(_parameter(query, "se"))
    return None


def _links(page: Page) -> Iterator[str]:
    for project in page.projects:
        # In a damaged page, each of these may be None or of any other type.
        for image in (isinstance(project, UpstreamProject) and project.images) or ():
            if isinstance(image, UpstreamImage):
                for file in (*(image.inputs or ()), image.output):
                    if isinstance(file, UpstreamImageFile):
                        yield from (url for url in (file.full_size, file.thumbnail) if isinstance(url, str))


def _parameter(query: str, name: str) -> str:
    """Return the value of a parameter, still encoded, or an empty string."""
    _, _, rest = f"&{query}".partition(f"&{name}=")
    return rest.partition("&")[0]


# All links of a page are signed within a second or two, so most calls are hits.
@lru_cache(maxsize=1024)
def _dated_expiry(date: str, seconds: str) -> float | None:
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed.timestamp() + int(seconds)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def _policy_expiry(policy: str) -> float | None:
    # CloudFront has its own alphabet for base64 in URLs.
    encoded = unquote(policy).translate(str.maketrans("-_~", "+=/"))
    try:
        condition = msgspec.json.decode(base64.b64decode(encoded))["Statement"][0]["Condition"]
        moment = condition["DateLessThan"]["AWS:EpochTime"]
        return float(moment) if type(moment) is int else None
    # The policy may be any JSON, or none.
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def _azure_expiry(encoded: str) -> float | None:
    try:
        moment = datetime.fromisoformat(unquote(encoded))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
