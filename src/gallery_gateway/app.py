"""Puts the parts together: settings in, an ASGI app out."""

import gc
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from gallery_gateway import __version__
from gallery_gateway.edge.explorer import GRAPHQL_PATH, Explorer
from gallery_gateway.edge.front import Front
from gallery_gateway.edge.graphql import GraphQLEndpoint
from gallery_gateway.edge.health import Readiness, health_router
from gallery_gateway.execution.compiled import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.clock import SYSTEM_CLOCK, Clock
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.freshness import FreshnessPolicy
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.ledger import Budget, Ledger
from gallery_gateway.gallery.loaders import GalleryLoaders
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.settings import Settings
from gallery_gateway.telemetry import logs
from gallery_gateway.upstream.client import GalleryClient, Timeouts
from gallery_gateway.upstream.transport import make_transport


def create_app(
    settings: Settings | None = None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Clock = SYSTEM_CLOCK,
    explorer_token: str | None = None,
) -> FastAPI:
    """The gateway.

    Args:
        settings: read from the environment if None.
        transport: the way to the endpoint; a test passes its own.
        clock: what freshness is counted by; a test passes its own.
        explorer_token: what GraphiQL begins with, for the demo's made-up callers only.

    Raises:
        SettingsError: a setting is out of its range.
    """
    settings = settings or Settings.read()
    logs.configure(settings.log_level)
    gallery = _build_gallery(settings, transport, clock)
    readiness = Readiness()
    explorer = Explorer(path=settings.graphiql_path, token=explorer_token) if settings.graphiql else None

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        _calm_collector()
        readiness.is_ready = True
        try:
            yield
        finally:
            readiness.is_ready = False
            await gallery.aclose()

    app = Front(
        path=GRAPHQL_PATH,
        endpoint=_build_endpoint(settings, gallery, explorer),
        title="Gallery gateway",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
    )
    app.include_router(health_router(readiness))
    app.router.routes.extend(explorer.routes() if explorer else [])
    return app


def _calm_collector() -> None:
    """Cached pages hold no cycles: a full pass over them finds nothing, and stops the loop for 0.2 s."""
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def _build_gallery(settings: Settings, transport: httpx.AsyncBaseTransport | None, clock: Clock) -> Gallery:
    client = GalleryClient(
        base_url=str(settings.upstream_url),
        transport=transport
        or make_transport(
            max_connections=settings.upstream_max_connections,
            read_timeout_seconds=settings.upstream_read_timeout_seconds,
        ),
        timeouts=Timeouts(
            connect=settings.upstream_connect_timeout_seconds,
            read=settings.upstream_read_timeout_seconds,
            total=settings.upstream_total_timeout_seconds,
        ),
        max_bytes=settings.upstream_max_bytes,
        user_agent=f"gallery-gateway/{__version__}",
        accept_encoding=settings.upstream_accept_encoding,
    )
    freshness = FreshnessPolicy(
        ttl_seconds=settings.cache_ttl_seconds,
        unfinished_ttl_seconds=settings.cache_unfinished_ttl_seconds,
        link_margin_seconds=settings.link_margin_seconds,
    )
    cache = PageCache(
        max_bytes=settings.cache_max_bytes, caller_max_bytes=settings.cache_caller_max_bytes, clock=clock
    )
    fetcher = PageFetcher(client=client, cache=cache, freshness=freshness, clock=clock)
    return Gallery(fetcher=fetcher, cache=cache, clock=clock)


def _build_endpoint(settings: Settings, gallery: Gallery, explorer: Explorer | None) -> GraphQLEndpoint:
    schema = executable(build_schema())
    documents = Documents(
        schema,
        max_bytes=settings.prepared_documents_max_bytes,
        max_tokens=settings.max_document_tokens,
    )
    return GraphQLEndpoint(
        Executor(schema, documents, Compiler(schema, COMPILED_ROOTS)),
        _Operations(settings, gallery),
        explorer=explorer.page if explorer and explorer.shares_path else None,
        allow_get=settings.graphql_get,
        max_body_bytes=settings.max_body_bytes,
        always_reports=settings.report_always,
    )


class _Operations:
    """Who asks, and what the resolvers of one operation share."""

    def __init__(self, settings: Settings, gallery: Gallery) -> None:
        self._gallery = gallery
        self._narrows = settings.narrowing
        self._secret = _caller_key_secret(settings)
        self._budget = Budget(
            max_calls=settings.operation_max_calls, max_images=settings.operation_max_images
        )

    def caller(self, token: str | None) -> Caller | None:
        return Caller(token, secret=self._secret) if token else None

    async def context(self, caller: Caller | None, *, skips_cache: bool) -> OperationContext:
        ledger = Ledger(self._budget)
        if caller is None:
            return OperationContext(ledger, None)
        loaders = GalleryLoaders(
            self._gallery, caller, ledger, narrows=self._narrows, skips_cache=skips_cache
        )
        return OperationContext(ledger, loaders)


def _caller_key_secret(settings: Settings) -> bytes:
    if settings.caller_key_secret is None:
        return secrets.token_bytes(32)
    return settings.caller_key_secret.get_secret_value().encode()
