"""What processes share through Redis or Valkey, put together from settings.

This module needs the extra `shared`; it is imported only where a shared cache is set.
"""

from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.settings import Settings
from gallery_gateway.shared.sealing import Encryption, Signature
from gallery_gateway.shared.store import Commands, PageStore


class Sharing:
    """One server, and the pages that are kept there."""

    def __init__(self, settings: Settings, *, url: str, secret: str) -> None:
        self._settings = settings
        self._commands = Commands(url, timeout_seconds=settings.shared_cache_timeout_seconds)
        self._seal = (Encryption if settings.shared_cache_encrypted else Signature)(secret.encode())

    def pages(self, cache: PageCache) -> PageStore:
        """Closed with the gallery; the connection goes with it."""
        return PageStore(
            self._commands,
            seal=self._seal,
            lock_seconds=self._settings.shared_cache_lock_seconds,
            max_bytes=self._settings.shared_cache_page_max_bytes,
            on_purge=lambda caller_key: cache.purge(CallerKey(caller_key)),
            on_gap=cache.purge_all,
        )
