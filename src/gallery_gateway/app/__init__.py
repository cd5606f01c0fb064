"""Builds the app from settings, and runs its parts in order."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI

from gallery_gateway import __version__
from gallery_gateway.app.endpoint import build_endpoint
from gallery_gateway.app.gallery import build_gallery
from gallery_gateway.app.signals import handling_signals
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.clock import SYSTEM_CLOCK, Clock
from gallery_gateway.edge.app import GatewayApp, Readiness, health_router
from gallery_gateway.edge.event_stream import EventStreams
from gallery_gateway.edge.explorer import GRAPHQL_PATH, explorer_routes, render_page
from gallery_gateway.edge.replay import REPLAY_STORE, ReplayStore
from gallery_gateway.edge.responses import security_headers
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.client import AnyTransport
from gallery_gateway.upstream.resilience import PRODUCTION_RULES, ResilienceRules


def create_app(
    settings: Settings | None = None,
    *,
    transport: AnyTransport | None = None,
    clock: Clock = SYSTEM_CLOCK,
    explorer_token: str | None = None,
    rules: ResilienceRules = PRODUCTION_RULES,
    streams: EventStreams | None = None,
    owns_process: bool = False,
) -> FastAPI:
    """Return the gateway as an ASGI app. It runs while its lifespan does.

    Args:
        settings: the environment's by default.
        transport: sends the upstream calls; tests pass their own.
        clock: measures freshness; tests pass their own.
        explorer_token: the token that GraphiQL starts with, for the made-up callers of the demo only.
        rules: constants of retries, breakers and the concurrency limit; tests pass shorter times.
        streams: the limits of open subscriptions; tests pass others.
        owns_process: configures logging; while the app runs, also handles SIGTERM, tunes the garbage
            collector, and lets the server of `serve` replay responses.

    Raises:
        SettingsError: a setting is out of range, or needs an extra that is not installed.
    """
    settings = settings or Settings.read()
    instruments = Instruments(settings, owns_process=owns_process)
    # Two large pages at once would take longer pauses of the loop, and more memory.
    large_pages = asyncio.Lock()
    gallery = build_gallery(
        settings,
        transport=transport,
        clock=clock,
        instruments=instruments,
        rules=rules,
        large_pages=large_pages,
    )
    readiness = Readiness(lambda: gallery.is_sharing)
    headers = security_headers(hsts_max_age_seconds=settings.hsts_max_age_seconds)
    path = settings.graphiql_path
    page = render_page(path, token=explorer_token) if settings.graphiql else None
    # An empty one is false.
    streams = EventStreams() if streams is None else streams
    replays = ReplayStore(readiness, instruments.operations)
    endpoint = build_endpoint(
        settings,
        gallery=gallery,
        page=page if path == GRAPHQL_PATH else None,
        security_headers=headers,
        replays=replays,
        streams=streams,
        instruments=instruments,
        large_pages=large_pages,
    )
    app = GatewayApp(
        path=GRAPHQL_PATH,
        endpoint=endpoint,
        policy=endpoint.policy,
        security_headers=headers,
        readiness=readiness,
        path_prefix=settings.path_prefix or "",
        title="Gallery gateway",
        version=__version__,
        lifespan=lambda _app: lifespan(),
        openapi_url=None,
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, object]]:
        async with _running(gallery, instruments, readiness, streams):
            if not owns_process:
                yield {}
                return
            delay_seconds = settings.shutdown_delay_seconds
            with _calm_collector(), handling_signals(readiness, streams, delay_seconds=delay_seconds):
                # The server would send a replay past the middleware.
                yield {} if app.user_middleware else {REPLAY_STORE: replays}

    app.include_router(health_router(readiness))
    if page is not None:
        app.router.routes.extend(explorer_routes(path, page))
    return app


def create_served_app() -> FastAPI:
    """Return the app of `serve`, in each of several workers."""
    return create_app(owns_process=True)


@asynccontextmanager
async def _running(
    gallery: Gallery, instruments: Instruments, readiness: Readiness, streams: EventStreams
) -> AsyncIterator[None]:
    """Run from start-up to shutdown, which undoes start-up in reverse order."""
    async with instruments.running():
        await gallery.open()
        streams.start()
        readiness.is_running = True
        try:
            yield
        finally:
            readiness.is_running = False
            streams.close()
            await gallery.aclose()


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Collect garbage less often.

    Cached pages contain no reference cycles: a full collection frees none, and stops the loop for 0.2 s.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
