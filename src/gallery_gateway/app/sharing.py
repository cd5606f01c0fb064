"""What processes share through Redis or Valkey, put together from settings.

This module needs the extra `shared`; it is imported only where a shared cache is set.
"""

from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.settings import MEBIBYTE
from gallery_gateway.shared.sealing import Encryption
from gallery_gateway.shared.store import Commands, PageStore

# How long the other processes wait for a page whose process has died. A live one renews its lock each second.
_LOCK_SECONDS = 3.0

# Some 16,000 images. A larger page is rare, and takes Redis longer than it saves.
_MAX_PAGE_BYTES = 16 * MEBIBYTE


class Sharing:
    """One server, and the pages that are kept there."""

    def __init__(self, *, url: str, secret: str) -> None:
        self._commands = Commands(url)
        self._seal = Encryption(secret.encode())

    def pages(self, cache: PageCache) -> PageStore:
        """Closed with the gallery; the connection goes with it."""
        return PageStore(
            self._commands,
            seal=self._seal,
            lock_seconds=_LOCK_SECONDS,
            max_bytes=_MAX_PAGE_BYTES,
            on_purge=lambda caller_key: cache.purge(CallerKey(caller_key)),
            on_gap=cache.purge_all,
        )
