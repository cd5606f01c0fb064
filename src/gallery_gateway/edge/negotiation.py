"""The media type of an answer, out of the Accept header (GraphQL over HTTP, and RFC 9110, 12.5.1)."""

from collections.abc import Sequence

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
HTML = "text/html"

_ALIASES = {"*/*": JSON, "application/*": JSON, "text/*": HTML}


def preferred_media_type(accept: Sequence[str]) -> str | None:
    """The best of JSON, GRAPHQL_RESPONSE and HTML; JSON if anything goes, None if none of them does.

    Args:
        accept: the values of all Accept headers.
    """
    ranges = [part for value in accept for part in value.split(",") if part.strip()]
    if not ranges:
        return JSON
    acceptable = [
        (quality, _ALIASES.get(media_type, media_type))
        for media_type, quality in map(_parse_range, ranges)
        if quality > 0
    ]
    # A stable sort: among equals, the first named wins.
    for _, media_type in sorted(acceptable, key=lambda entry: -entry[0]):
        if media_type in {JSON, GRAPHQL_RESPONSE, HTML}:
            return media_type
    return None


def _parse_range(text: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0
