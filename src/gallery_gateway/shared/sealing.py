"""Pages as they are stored: compressed, and sealed to the key that they are stored under.

A sealed page opens under its own key only. So neither a store that gives one answer for another, nor whoever
can write to it, makes a caller see what is not theirs.
"""

import hashlib
import hmac
import os
from typing import Protocol

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gallery_gateway.shared.pages import StoredPage

# Sizes of AES-GCM (NIST SP 800-38D): a key of 256 bits, a nonce of 96.
_NONCE_BYTES = 12

# The lightest: inflating is as fast at any level, and a page is written once and read a few times.
_COMPRESSION_LEVEL = 1


class WrongPageError(Exception):
    """What is stored is no page, or not the one that is stored under this key."""


class Seal(Protocol):
    """Turns bytes into what only the same key gives back."""

    def close(self, content: bytes, *, key: bytes) -> bytes: ...

    def open(self, sealed: bytes, *, key: bytes) -> bytes:
        """Raises: WrongPageError: it was not sealed with this key."""


class Encryption:
    """AES-256-GCM; `secret` is the one that callers are told apart by."""

    def __init__(self, secret: bytes) -> None:
        # Another purpose, another key.
        self._cipher = AESGCM(hmac.digest(secret, b"gallery-gateway shared pages", hashlib.sha256))

    def close(self, content: bytes, *, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, key)

    def open(self, sealed: bytes, *, key: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key)
        # A nonce that is too short is a ValueError.
        except (InvalidTag, ValueError) as exc:
            raise WrongPageError from exc


class Signature:
    """HMAC-SHA256 alone, for a store that may read the pages but must not change them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"gallery-gateway signed pages", hashlib.sha256)

    def close(self, content: bytes, *, key: bytes) -> bytes:
        return self._signed(content, key) + content

    def open(self, sealed: bytes, *, key: bytes) -> bytes:
        content = sealed[hashlib.sha256().digest_size :]
        if not hmac.compare_digest(sealed[: -len(content) or None], self._signed(content, key)):
            raise WrongPageError
        return content

    def _signed(self, content: bytes, key: bytes) -> bytes:
        # The key's length first, so that no other key and content make the same bytes.
        return hmac.digest(self._secret, len(key).to_bytes(4) + key + content, hashlib.sha256)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredPage).decode


def seal_page(page: StoredPage, seal: Seal, *, key: bytes) -> bytes:
    return seal.close(zstandard.compress(_encode(page), _COMPRESSION_LEVEL), key=key)


def open_page(sealed: bytes, seal: Seal, *, key: bytes, max_bytes: int) -> StoredPage:
    """Raises: WrongPageError: it is no page of this key, or one of more than `max_bytes`."""
    compressed = seal.open(sealed, key=key)
    try:
        parameters = zstandard.get_frame_parameters(compressed)
        if parameters.content_size > max_bytes:
            raise WrongPageError
        return _decode(zstandard.decompress(compressed))
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as exc:
        raise WrongPageError from exc
