"""JSON of no known shape, passed through as the bytes that it came in."""

from msgspec import Raw

from gallery_gateway.upstream.contract import JSON_NULL


def json_or_none(value: Raw) -> Raw | None:
    """What GraphQL is to see: a JSON null has to be null before a scalar serializes it."""
    return None if bytes(value) == bytes(JSON_NULL) else value
