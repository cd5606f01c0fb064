"""Encryption of the pages in the shared cache.

A sealed page opens under its own key only. A store that returns the wrong page, or a person who can write to
the store, therefore cannot show one caller the data of another.
"""

import hashlib
import hmac
import os

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gallery_gateway.shared.pages import StoredPage

# A nonce of 96 bits, as NIST SP 800-38D recommends for AES-GCM.
_NONCE_BYTES = 12

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredPage).decode


class PageSeal:
    """Compresses pages and encrypts them with AES-256-GCM.

    Args:
        secret: the secret that the keys of callers are made with.
        max_bytes: the largest page that is opened, decompressed.
    """

    def __init__(self, secret: bytes, *, max_bytes: int) -> None:
        # A key of its own for each purpose.
        self._cipher = AESGCM(hmac.digest(secret, b"gallery-gateway shared pages", hashlib.sha256))
        self._max_bytes = max_bytes

    def seal(self, page: StoredPage, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        # Level 1 is the fastest. Decompression is equally fast at every level, and a page is compressed once.
        return nonce + self._cipher.encrypt(nonce, zstandard.compress(_encode(page), 1), key)

    def open(self, sealed: bytes, key: bytes) -> StoredPage | None:
        """Return the page, or None if `sealed` is not a page sealed for this key, or too large."""
        try:
            compressed = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key)
            if zstandard.get_frame_parameters(compressed).content_size > self._max_bytes:
                return None
            return _decode(zstandard.decompress(compressed))
        # ValueError: the nonce is too short, or the frame does not state its size.
        except (InvalidTag, zstandard.ZstdError, msgspec.MsgspecError, ValueError):
            return None
