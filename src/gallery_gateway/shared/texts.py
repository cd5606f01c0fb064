"""Persisted documents that all processes know: what was registered at one is found by the others.

Whoever can reach the gateway can register documents, so there is a bound on what they fill: each document
has one of a fixed number of places, by the first digits of its hash, and shares it with whatever else belongs
there. The last one stays. Whoever finds another document in its place has found none, and it is sent again.
"""

import re

from gallery_gateway.shared.pages import PREFIX, StoreError
from gallery_gateway.shared.sealing import Seal, WrongPageError
from gallery_gateway.shared.store import Commands

# 4,096 places of at most so much: 128 MiB, if somebody sets out to fill them.
_PLACE_DIGITS = 3
_MAX_BYTES = 32 * 1024

_KEPT_SECONDS = 24 * 3600

_SHA256 = re.compile(r"[0-9a-f]{64}")


class SharedTexts:
    """A store of persisted documents that gives None, and keeps nothing, where the server is gone."""

    def __init__(self, commands: Commands, seal: Seal) -> None:
        self._commands = commands
        self._seal = seal

    async def get(self, sha256: str) -> str | None:
        """What is in the place of this hash, which need not be its text; it stays there for another day."""
        if not _SHA256.fullmatch(sha256):
            return None
        place = place_of(sha256)
        try:
            sealed = await self._commands.ask(lambda redis: redis.getex(place, ex=_KEPT_SECONDS))
            return None if sealed is None else self._seal.open(sealed, key=place).decode()
        except (StoreError, WrongPageError, UnicodeDecodeError):
            return None

    async def put(self, sha256: str, text: str) -> None:
        content = text.encode()
        if len(content) > _MAX_BYTES:
            return
        place = place_of(sha256)
        sealed = self._seal.close(content, key=place)
        try:
            await self._commands.ask(lambda redis: redis.set(place, sealed, ex=_KEPT_SECONDS))
        except StoreError:
            # Each process then learns it for itself.
            return


def place_of(sha256: str) -> bytes:
    return PREFIX + b"text:" + sha256[:_PLACE_DIGITS].encode("ascii")
