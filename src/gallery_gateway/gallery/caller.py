"""Who asks: the only thing that pages, flights and loaders are kept under."""

import base64
import binascii
import hashlib
import hmac
import math
from typing import NewType

import msgspec

CallerKey = NewType("CallerKey", bytes)
"""What a caller is known by where the token itself must not be kept; made by `Caller` only."""


class Caller:
    """A caller, known by a key that the token cannot be read from.

    Two callers are equal if their tokens are. What outlives an operation is kept under the key alone. `repr`
    and `fingerprint` show the beginning of the key; the token is told to nobody but the client that sends it.

    Args:
        token: the bearer token, without its scheme.
        secret: key of the HMAC, for one process or for all that share a cache.
    """

    __slots__ = ("_token", "key")

    def __init__(self, token: str, *, secret: bytes) -> None:
        self._token = token
        self.key = CallerKey(hmac.digest(secret, token.encode(), hashlib.sha256))

    @property
    def authorization(self) -> str:
        """The value of the outgoing Authorization header; for nothing else."""
        return f"Bearer {self._token}"

    @property
    def fingerprint(self) -> str:
        return self.key[:4].hex()

    @property
    def expires_at(self) -> float:
        """When the token ends, in seconds since 1970; infinite unless it is a JWT that says so.

        The claim is not verified, so it may shorten what is kept, and do nothing else (RFC 7519, 4.1.4).
        """
        parts = self._token.split(".")
        if len(parts) != 3:
            return math.inf
        try:
            claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            return msgspec.json.decode(claims, type=_Claims).exp
        except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError):
            return math.inf

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Caller({self.fingerprint})"

    def __reduce__(self) -> str:
        # Pickling or copying would carry the token elsewhere.
        raise TypeError("a caller stays in its process")


class _Claims(msgspec.Struct):
    exp: float = math.inf
