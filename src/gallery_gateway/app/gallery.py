"""The gallery's parts, put together from settings: client, cache, freshness."""

from typing import TYPE_CHECKING

import httpx

from gallery_gateway import __version__
from gallery_gateway.app.readings import read_cache, read_resilience, read_sharing
from gallery_gateway.app.resilience import build_resilience
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.clock import Clock
from gallery_gateway.gallery.fetcher import Fetcher, PageFetcher
from gallery_gateway.gallery.freshness import FreshnessPolicy
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.sharing import SharedFetcher
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.client import GalleryClient, Timeouts
from gallery_gateway.upstream.transport import make_transport

if TYPE_CHECKING:
    # Needs libraries of an extra.
    from gallery_gateway.app.sharing import Sharing


def build_gallery(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None,
    clock: Clock,
    instruments: Instruments,
    sharing: "Sharing | None",
) -> Gallery:
    cache = PageCache(
        max_bytes=settings.cache_max_bytes, caller_max_bytes=settings.cache_caller_max_bytes, clock=clock
    )
    instruments.read(lambda: read_cache(cache))
    client = _client(settings, transport, clock, instruments)
    fetcher: Fetcher = PageFetcher(client=client, cache=cache, freshness=_freshness(settings), clock=clock)
    if sharing is not None:
        fetcher = SharedFetcher(
            fetcher,
            sharing.pages(cache),
            cache,
            clock,
            longest_wait_seconds=settings.upstream_total_timeout_seconds,
        )
    gallery = Gallery(fetcher=fetcher, cache=cache, clock=clock)
    instruments.read(lambda: read_sharing(gallery))
    return gallery


def _client(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None,
    clock: Clock,
    instruments: Instruments,
) -> GalleryClient:
    resilience = build_resilience(settings, clock)
    instruments.read(lambda: read_resilience(resilience))
    return GalleryClient(
        base_url=str(settings.upstream_url),
        transport=transport
        or make_transport(
            str(settings.upstream_url),
            max_connections=settings.upstream_max_connections,
            max_bytes=settings.upstream_max_bytes,
        ),
        timeouts=Timeouts(
            connect=settings.upstream_connect_timeout_seconds,
            first_byte=settings.upstream_first_byte_timeout_seconds,
            read=settings.upstream_read_timeout_seconds,
            total=settings.upstream_total_timeout_seconds,
        ),
        max_bytes=settings.upstream_max_bytes,
        user_agent=f"gallery-gateway/{__version__}",
        accept_encoding=settings.upstream_accept_encoding,
        resilience=resilience,
        telemetry=instruments.calls,
    )


def _freshness(settings: Settings) -> FreshnessPolicy:
    return FreshnessPolicy(
        ttl_seconds=settings.cache_ttl_seconds,
        unfinished_ttl_seconds=settings.cache_unfinished_ttl_seconds,
        link_margin_seconds=settings.link_margin_seconds,
        stale_while_revalidate_seconds=settings.stale_while_revalidate_seconds,
        stale_if_error_seconds=settings.stale_if_error_seconds,
    )
