"""The media type of an answer, out of the Accept header (GraphQL over HTTP, and RFC 9110, 12.5.1)."""

from collections.abc import Sequence

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
