"""The store that processes share, put together from settings; Redis is imported only where it is used."""

from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.settings import Settings, SettingsError
from gallery_gateway.shared.pages import Store


def build_store(settings: Settings, cache: PageCache) -> Store | None:
    """None unless a shared cache is set.

    Raises:
        SettingsError: it is set, and its libraries are not installed.
    """
    if settings.shared_cache_url is None or settings.caller_key_secret is None:
        return None
    try:
        from gallery_gateway.shared import sealing, store  # noqa: PLC0415  # libraries of an extra
    except ImportError as exc:
        raise SettingsError(
            "GALLERY_GATEWAY_SHARED_CACHE_URL: needs `pip install 'gallery-gateway[shared]'`"
        ) from exc
    secret = settings.caller_key_secret.get_secret_value().encode()
    return store.PageStore(
        settings.shared_cache_url.get_secret_value(),
        seal=sealing.Encryption(secret) if settings.shared_cache_encrypted else sealing.Signature(secret),
        timeout_seconds=settings.shared_cache_timeout_seconds,
        lock_seconds=settings.shared_cache_lock_seconds,
        max_bytes=settings.shared_cache_page_max_bytes,
        on_purge=lambda caller_key: cache.purge(CallerKey(caller_key)),
        on_gap=cache.purge_all,
    )
