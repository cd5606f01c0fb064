"""The caller of an operation; whatever outlives an operation is keyed by it."""

import base64
import binascii
import hashlib
import hmac
import math
from functools import lru_cache
from typing import NewType

import msgspec

CallerKey = NewType("CallerKey", bytes)
"""Identifies a caller without its token; only `Caller` makes one."""


class Caller:
    """A bearer token and the key that is derived from it, from which the token cannot be recovered.

    Callers with the same token are equal. `authorization` is the value of the header of upstream calls, its
    only use. `fingerprint` is the beginning of the key, for `repr` and log lines. `expires_at` is when the
    token expires, in seconds since 1970; infinite unless it is a JWT with `exp`.

    Args:
        token: the bearer token, without its scheme.
        secret: key of the HMAC; the same in all processes that share a cache.
    """

    __slots__ = ("authorization", "expires_at", "fingerprint", "key")

    def __init__(self, token: str, *, secret: bytes) -> None:
        self.authorization = f"Bearer {token}"
        mac = _mac_of(secret).copy()
        mac.update(token.encode())
        self.key = CallerKey(mac.digest())
        self.fingerprint = self.key[:4].hex()
        self.expires_at = _expiry_of(token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Caller({self.fingerprint})"

    def __reduce__(self) -> str:
        # A pickle or a copy would carry the token elsewhere.
        raise TypeError("A caller cannot be pickled or copied.")


# OpenSSL looks up its algorithms for each new HMAC, which takes longer than to parse a small page.
@lru_cache(maxsize=1)
def _mac_of(secret: bytes) -> hmac.HMAC:
    return hmac.new(secret, digestmod=hashlib.sha256)


class _Claims(msgspec.Struct):
    exp: float = math.inf


def _expiry_of(token: str) -> float:
    """Return when a JWT expires.

    The claim is not verified, so it only ever shortens lifetimes (RFC 7519, section 4.1.4).
    """
    parts = token.split(".")
    if len(parts) != 3:
        return math.inf
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError):
        return math.inf
