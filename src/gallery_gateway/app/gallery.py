"""The gallery's parts, put together from settings: client, resilience, cache, freshness, and their gauges."""

from typing import TYPE_CHECKING

import httpx

from gallery_gateway import __version__
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.clock import Clock
from gallery_gateway.execution.documents import Documents
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.entry import FreshnessPolicy
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.gallery import Fetcher, Gallery
from gallery_gateway.gallery.shared_fetcher import SharedFetcher
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError
from gallery_gateway.telemetry.counters import Snapshot, Values
from gallery_gateway.upstream.breaker import State
from gallery_gateway.upstream.client import GalleryClient
from gallery_gateway.upstream.resilience import PRODUCTION_RULES, Resilience, ResilienceRules
from gallery_gateway.upstream.transport import Pool, Timeouts

if TYPE_CHECKING:
    # Needs libraries of an extra.
    from gallery_gateway.shared.store import PageStore


def read_cache(cache: PageCache) -> Snapshot:
    return Snapshot(
        gauges={
            ("cache_bytes", ()): float(cache.size_bytes),
            ("cache_max_bytes", ()): float(cache.max_bytes),
            ("cache_entries", ()): float(len(cache)),
        }
    )


def read_documents(documents: Documents) -> Snapshot:
    return Snapshot(gauges={("prepared_documents", ()): float(len(documents))})


def read_resilience(resilience: Resilience) -> Snapshot:
    limiter = resilience.limiter
    # Each state has a series, so that those of several workers can be added up.
    states: Values = {
        ("upstream_breaker", (state.value,)): float(resilience.breakers.api.state is state) for state in State
    }
    return Snapshot(
        counters={
            ("upstream_breaker_opened_total", (scope,)): float(count)
            for scope, count in resilience.breakers.opened.items()
        },
        gauges={
            **states,
            ("upstream_calls_in_flight", ()): float(limiter.in_flight),
            ("upstream_calls_waiting", ()): float(limiter.waiting),
            ("upstream_calls_limit", ()): float(limiter.limit.calls),
        },
    )


def read_sharing(gallery: Gallery) -> Snapshot:
    """Nothing where pages are not meant to be shared."""
    is_sharing = gallery.is_sharing
    return Snapshot() if is_sharing is None else Snapshot(gauges={("shared_cache_up", ()): float(is_sharing)})


# One caller cannot evict the pages of more than three others.
_CALLER_SHARE = 1 / 4

# A link is given out only while it stays valid for this long: a browser needs time to load the picture.
_LINK_MARGIN_SECONDS = 30.0


def build_gallery(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None,
    clock: Clock,
    instruments: Instruments,
    rules: ResilienceRules = PRODUCTION_RULES,
) -> Gallery:
    """Raises: SettingsError: the shared cache cannot be used."""
    cache = PageCache(
        max_bytes=settings.cache_max_bytes,
        caller_max_bytes=int(settings.cache_max_bytes * _CALLER_SHARE),
        clock=clock,
    )
    instruments.add_gauges(lambda: read_cache(cache))
    resilience = Resilience(
        rules,
        max_attempts=settings.upstream_max_attempts,
        max_connections=settings.upstream_max_connections,
        clock=clock.monotonic,
    )
    instruments.add_gauges(lambda: read_resilience(resilience))
    client = _client(settings, transport, instruments, resilience, rules)
    alone = PageFetcher(client=client, cache=cache, freshness=_freshness(settings), clock=clock)
    fetcher: Fetcher = alone
    store = _page_store(settings, cache)
    if store is not None:
        fetcher = SharedFetcher(
            alone,
            store,
            cache,
            clock,
            max_wait_seconds=settings.upstream_total_timeout_seconds,
        )
    gallery = Gallery(fetcher=fetcher, cache=cache, rate_limits=resilience.rate_limits, clock=clock)
    instruments.add_gauges(lambda: read_sharing(gallery))
    return gallery


def _client(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None,
    instruments: Instruments,
    resilience: Resilience,
    rules: ResilienceRules,
) -> GalleryClient:
    return GalleryClient(
        base_url=str(settings.upstream_url),
        transport=transport
        or Pool(
            str(settings.upstream_url),
            max_connections=settings.upstream_max_connections,
            max_bytes=settings.upstream_max_bytes,
        ),
        timeouts=Timeouts(
            connect=settings.upstream_connect_timeout_seconds,
            first_byte=settings.upstream_first_byte_timeout_seconds,
            read=rules.read_timeout_seconds,
            total=settings.upstream_total_timeout_seconds,
        ),
        max_bytes=settings.upstream_max_bytes,
        user_agent=f"gallery-gateway/{__version__}",
        accept_encoding=settings.upstream_accept_encoding,
        resilience=resilience,
        telemetry=instruments.calls,
    )


def _page_store(settings: Settings, cache: PageCache) -> "PageStore | None":
    if settings.shared_cache_url is None or settings.caller_key_secret is None:
        return None
    name = f"{ENVIRONMENT_PREFIX}SHARED_CACHE_URL"
    try:
        from gallery_gateway.shared.store import PageStore  # noqa: PLC0415  # needs libraries of an extra
    except ModuleNotFoundError as exc:
        raise SettingsError(f"{name}: install gallery-gateway[shared] ({exc.name} is missing)") from exc
    try:
        return PageStore(
            settings.shared_cache_url.get_secret_value(),
            secret=settings.caller_key_secret.get_secret_value().encode(),
            on_purge=lambda caller_key: cache.purge(CallerKey(caller_key)),
            on_gap=cache.purge_all,
        )
    except ValueError:
        # Without its cause, which may show the password.
        raise SettingsError(f"{name}: must be a URL as redis-py reads it") from None


def _freshness(settings: Settings) -> FreshnessPolicy:
    return FreshnessPolicy(
        ttl_seconds=settings.cache_ttl_seconds,
        unfinished_ttl_seconds=settings.cache_unfinished_ttl_seconds,
        link_margin_seconds=_LINK_MARGIN_SECONDS,
        stale_while_revalidate_seconds=settings.stale_while_revalidate_seconds,
        stale_if_error_seconds=settings.stale_if_error_seconds,
    )
