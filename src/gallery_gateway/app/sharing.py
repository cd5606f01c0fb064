"""What processes share, put together from settings; Redis is imported only where it is used."""

from typing import TYPE_CHECKING

from gallery_gateway.execution.persisted import PersistedStore
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.settings import Settings, SettingsError
from gallery_gateway.shared.pages import Store

if TYPE_CHECKING:
    # They need libraries of an extra.
    from gallery_gateway.shared.commands import Commands
    from gallery_gateway.shared.sealing import Seal
    from gallery_gateway.shared.store import PageStore


class Sharing:
    """Redis or Valkey, and what is kept there: pages, and persisted documents."""

    def __init__(self, settings: Settings, commands: "Commands", seal: "Seal") -> None:
        self._settings = settings
        self._commands = commands
        self._seal = seal
        self._pages: PageStore | None = None

    async def open(self) -> None:
        """Connects, where there is something to connect to."""
        if self._pages is not None:
            await self._pages.open()

    def pages(self, cache: PageCache) -> Store:
        """Closed with the gallery; the connection to Redis goes with it."""
        from gallery_gateway.shared.store import PageStore  # noqa: PLC0415  # libraries of an extra

        self._pages = PageStore(
            self._commands,
            seal=self._seal,
            lock_seconds=self._settings.shared_cache_lock_seconds,
            max_bytes=self._settings.shared_cache_page_max_bytes,
            on_purge=lambda caller_key: cache.purge(CallerKey(caller_key)),
            on_gap=cache.purge_all,
        )
        return self._pages

    def texts(self) -> PersistedStore:
        from gallery_gateway.shared.texts import SharedTexts  # noqa: PLC0415  # libraries of an extra

        return SharedTexts(self._commands, self._seal)


def build_sharing(settings: Settings) -> Sharing | None:
    """None unless a shared cache is set.

    Raises:
        SettingsError: it is set, and its libraries are not installed.
    """
    if settings.shared_cache_url is None or settings.caller_key_secret is None:
        return None
    try:
        from gallery_gateway.shared import commands, sealing  # noqa: PLC0415  # libraries of an extra
    except ImportError as exc:
        raise SettingsError(
            "GALLERY_GATEWAY_SHARED_CACHE_URL: needs `pip install 'gallery-gateway[shared]'`"
        ) from exc
    secret = settings.caller_key_secret.get_secret_value().encode()
    return Sharing(
        settings,
        commands.Commands(
            settings.shared_cache_url.get_secret_value(),
            timeout_seconds=settings.shared_cache_timeout_seconds,
        ),
        sealing.Encryption(secret) if settings.shared_cache_encrypted else sealing.Signature(secret),
    )
