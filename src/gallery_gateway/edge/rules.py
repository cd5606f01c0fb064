"""What requests are refused for, as rules of single headers."""

import re
from urllib.parse import parse_qsl

# Tab is allowed in a value (RFC 9110, section 5.5), and nothing else below space.
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# The spellings that clients send: a browser that misreads an odd one might send it without a preflight.
_USUAL_JSON = re.compile(
    rb'[ \t]*application/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?', re.IGNORECASE
)

# What a proxy that obeys `Connection` takes away on the way here (RFC 9110, section 7.6.1).
_END_TO_END = frozenset(
    {
        b"accept",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"if-none-match",
        b"origin",
        b"x-request-id",
    }
)

_TOKEN_NAMES = frozenset(
    {
        "accesstoken",
        "apikey",
        "auth",
        "authorization",
        "authtoken",
        "bearer",
        "bearertoken",
        "idtoken",
        "jwt",
        "token",
        "xapikey",
    }
)


def is_json(content_type: bytes) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charset = next((p[8:].strip(b'"') for p in parameters if p.startswith(b"charset=")), b"utf-8")
    return media_type == b"application/json" and charset in {b"utf-8", b"utf8"}


def is_usual_json(content_type: bytes) -> bool:
    """Return whether it is `application/json`, usually spelt, with no parameter but `charset=utf-8`."""
    return _USUAL_JSON.fullmatch(content_type) is not None


def is_encoded(content_encoding: bytes) -> bool:
    return content_encoding.strip().lower() not in {b"", b"identity"}


def nominated(connection: bytes) -> bytes | None:
    """A header of the request itself that `Connection` calls one of the connection only."""
    names = {part.strip().lower() for part in connection.split(b",")}
    return min(names & _END_TO_END, default=None)


def host_name(host: bytes) -> str:
    """The name in a Host header, without its port."""
    name = host.strip().lower().decode("latin-1")
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def has_token(query_string: bytes) -> bool:
    """Whether the query string has a parameter that is named as tokens are."""
    names = (name for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
    return any(name.lower().replace("_", "").replace("-", "") in _TOKEN_NAMES for name in names)
