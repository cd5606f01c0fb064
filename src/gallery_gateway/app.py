"""Puts the parts together: settings in, an ASGI app out."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from starlette.routing import Route

from gallery_gateway import __version__
from gallery_gateway.edge.graphql import GraphQLEndpoint
from gallery_gateway.edge.health import Readiness, health_router
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loaders import GalleryLoaders
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.settings import Settings
from gallery_gateway.telemetry import logs
from gallery_gateway.upstream.client import GalleryClient, Timeouts
from gallery_gateway.upstream.transport import make_transport


def create_app(
    settings: Settings | None = None, *, transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """The gateway.

    Args:
        settings: read from the environment if None.
        transport: the way to the endpoint; a test passes its own.

    Raises:
        SettingsError: a setting is out of its range.
    """
    settings = settings or Settings.read()
    logs.configure(settings.log_level)
    gallery = _build_gallery(settings, transport)
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        readiness.is_ready = True
        try:
            yield
        finally:
            readiness.is_ready = False
            await gallery.aclose()

    app = FastAPI(
        title="Gallery gateway",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
    )
    app.include_router(health_router(readiness))
    app.router.routes.append(Route("/graphql", _build_endpoint(settings, gallery)))
    return app


def _build_gallery(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> Gallery:
    client = GalleryClient(
        base_url=str(settings.upstream_url),
        transport=transport or make_transport(max_connections=settings.upstream_max_connections),
        timeouts=Timeouts(
            connect=settings.upstream_connect_timeout_seconds,
            read=settings.upstream_read_timeout_seconds,
            total=settings.upstream_total_timeout_seconds,
        ),
        max_bytes=settings.upstream_max_bytes,
        user_agent=f"gallery-gateway/{__version__}",
        accept_encoding=settings.upstream_accept_encoding,
    )
    cache = PageCache(ttl_seconds=settings.cache_ttl_seconds, max_bytes=settings.cache_max_bytes)
    return Gallery(client=client, cache=cache)


def _build_endpoint(settings: Settings, gallery: Gallery) -> GraphQLEndpoint:
    schema = executable(build_schema())
    documents = Documents(
        schema,
        max_bytes=settings.prepared_documents_max_bytes,
        max_tokens=settings.max_document_tokens,
    )
    secret = _caller_key_secret(settings)

    async def make_context(token: str | None) -> OperationContext:
        if token is None:
            return OperationContext(None)
        return OperationContext(GalleryLoaders(gallery, Caller(token, secret=secret)))

    return GraphQLEndpoint(
        Executor(schema, documents),
        make_context,
        explorer=None,
        allow_get=settings.graphql_get,
        max_body_bytes=settings.max_body_bytes,
    )


def _caller_key_secret(settings: Settings) -> bytes:
    if settings.caller_key_secret is None:
        return secrets.token_bytes(32)
    return settings.caller_key_secret.get_secret_value().encode()
