"""The gallery's parts, put together from settings: client, resilience, cache, freshness, and their gauges."""

import asyncio
from typing import TYPE_CHECKING

from gallery_gateway import __version__
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.clock import Clock
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import CallerKey
from gallery_gateway.gallery.entry import FreshnessPolicy
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.shared_fetcher import SharedFetcher
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError, header_lines
from gallery_gateway.telemetry.counters import Values
from gallery_gateway.upstream.breaker import State
from gallery_gateway.upstream.client import AnyTransport, CallOptions, GalleryClient
from gallery_gateway.upstream.drift import DriftSampler
from gallery_gateway.upstream.proxy import Proxy
from gallery_gateway.upstream.resilience import Resilience, ResilienceRules
from gallery_gateway.upstream.transport import Pool, Timeouts, create_ssl_context

if TYPE_CHECKING:
    # Needs libraries of an extra.
    from gallery_gateway.shared.store import PageStore

# How long before its expiry a link is withheld: a browser needs time to load the picture.
LINK_MARGIN_SECONDS = 30.0


def read_cache(cache: PageCache) -> Values:
    return {
        ("cache_bytes", ()): cache.size_bytes,
        ("cache_max_bytes", ()): cache.max_bytes,
        ("cache_entries", ()): len(cache),
    }


def read_resilience(resilience: Resilience) -> Values:
    limiter = resilience.limiter
    values: Values = {
        ("upstream_calls_in_flight", ()): limiter.in_flight,
        ("upstream_calls_waiting", ()): limiter.waiting,
        ("upstream_calls_limit", ()): limiter.limit.calls,
    }
    # Each state has a series, so that those of several workers can be added up.
    for state in State:
        values["upstream_breaker", (state.value,)] = resilience.breakers.api.state is state
    for scope, count in resilience.breakers.opened.items():
        values["upstream_breaker_opened_total", (scope,)] = count
    return values


def read_drift(drift: DriftSampler) -> Values:
    values: Values = {("upstream_compared_pages_total", ()): drift.compared}
    # `dict` copies in one step, as in `MetricCounters`.
    for labels, count in dict(drift.drifted).items():
        values["upstream_drifted_pages_total", labels] = count
    return values


def read_sharing(gallery: Gallery) -> Values:
    is_sharing = gallery.is_sharing
    return {} if is_sharing is None else {("shared_cache_up", ()): is_sharing}


def build_gallery(
    settings: Settings,
    *,
    transport: AnyTransport | None,
    clock: Clock,
    instruments: Instruments,
    rules: ResilienceRules,
    large_pages: asyncio.Lock,
) -> Gallery:
    """Raises: SettingsError: the shared cache cannot be used."""
    cache = PageCache(
        max_bytes=settings.cache_max_bytes,
        # One caller cannot evict the pages of more than three others.
        caller_max_bytes=settings.cache_max_bytes // 4,
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
    drift = DriftSampler()
    instruments.add_gauges(lambda: read_drift(drift))
    client = GalleryClient(
        transport=transport or create_pool(settings),
        resilience=resilience,
        telemetry=instruments.calls,
        large_pages=large_pages,
        drift=drift,
        **call_options(settings, rules),
    )
    freshness = FreshnessPolicy(
        ttl_seconds=settings.cache_ttl_seconds,
        unfinished_ttl_seconds=settings.cache_unfinished_ttl_seconds,
        link_margin_seconds=LINK_MARGIN_SECONDS,
        stale_while_revalidate_seconds=settings.stale_while_revalidate_seconds,
        stale_if_error_seconds=settings.stale_if_error_seconds,
    )
    alone = PageFetcher(client=client, cache=cache, freshness=freshness, clock=clock)
    fetcher: PageFetcher | SharedFetcher = alone
    store = _page_store(settings, cache)
    if store is not None:
        max_wait_seconds = settings.upstream_total_timeout_seconds
        fetcher = SharedFetcher(alone, store, cache, clock, max_wait_seconds=max_wait_seconds)
    rate_limits = resilience.rate_limits
    gallery = Gallery(fetcher=fetcher, cache=cache, rate_limits=rate_limits, clock=clock, store=store)
    instruments.add_gauges(lambda: read_sharing(gallery))
    return gallery


def create_pool(settings: Settings) -> Pool:
    """Return the connections to the REST API."""
    files = (
        settings.upstream_ca_file,
        settings.upstream_client_cert_file,
        settings.upstream_client_key_file,
    )
    proxy_url = settings.upstream_proxy_url
    return Pool(
        str(settings.upstream_url),
        max_connections=settings.upstream_max_connections,
        max_bytes=settings.upstream_max_bytes,
        ssl_context=create_ssl_context(*files) if any(files) else None,
        proxy=Proxy(proxy_url.get_secret_value()) if proxy_url else None,
    )


def call_options(settings: Settings, rules: ResilienceRules) -> CallOptions:
    """Return what the settings say about every upstream call."""
    headers = settings.upstream_headers
    return CallOptions(
        base_url=str(settings.upstream_url),
        timeouts=Timeouts(
            connect=settings.upstream_connect_timeout_seconds,
            first_byte=settings.upstream_first_byte_timeout_seconds,
            read=rules.read_timeout_seconds,
            total=settings.upstream_total_timeout_seconds,
        ),
        max_bytes=settings.upstream_max_bytes,
        user_agent=f"gallery-gateway/{__version__}",
        accept_encoding=settings.upstream_accept_encoding,
        headers=header_lines(headers.get_secret_value()) if headers else (),
    )


def _page_store(settings: Settings, cache: PageCache) -> "PageStore | None":
    if settings.shared_cache_url is None or settings.caller_key_secret is None:
        return None
    name = f"{ENVIRONMENT_PREFIX}SHARED_CACHE_URL"
    try:
        from gallery_gateway.shared.store import PageStore  # noqa: PLC0415  # needs libraries of an extra
    except ModuleNotFoundError as exc:
        raise SettingsError(f"{name}: install the extra `shared` ({exc.name} is missing)") from exc
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
