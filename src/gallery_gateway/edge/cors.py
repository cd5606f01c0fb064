"""CORS for exact origins (https://fetch.spec.whatwg.org/#http-cors-protocol).

Credentials in the browser's sense, cookies above all, are never asked for: a token comes in a header.
"""

from gallery_gateway.edge.headers import RawHeader

# Beyond those that a page may read anyway.
_EXPOSED = b"Age, ETag, X-Request-ID"
_ALLOWED = (
    b"Apollo-Require-Preflight, Apollographql-Client-Name, Apollographql-Client-Version, Authorization,"
    b" Cache-Control, Content-Type, If-None-Match, Traceparent, Tracestate, X-Apollo-Operation-Name,"
    b" X-Gateway-Report, X-Request-ID"
)


class Origins:
    """The origins whose pages may read answers.

    Args:
        origins: as browsers send them.
        max_age_seconds: how long a browser keeps what it was told beforehand.
    """

    def __init__(self, origins: tuple[str, ...], *, max_age_seconds: int) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._max_age_seconds = max_age_seconds

    def __bool__(self) -> bool:
        return bool(self._origins)

    def __contains__(self, origin: bytes | None) -> bool:
        return origin in self._origins

    def head(self, origin: bytes | None) -> tuple[RawHeader, ...]:
        """What an answer to `origin` has."""
        if origin is None or origin not in self._origins:
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
        )

    def preflight_head(self, methods: bytes) -> tuple[RawHeader, ...]:
        """What the answer to a preflight request has beside."""
        return (
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", _ALLOWED),
            (b"access-control-max-age", b"%d" % self._max_age_seconds),
        )
