"""Builds the app from settings, and runs its parts in order."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from gallery_gateway import __version__
from gallery_gateway.app.endpoint import build_endpoint
from gallery_gateway.app.gallery import build_gallery
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.clock import SYSTEM_CLOCK, Clock
from gallery_gateway.edge.app import GatewayApp, Readiness, health_router
from gallery_gateway.edge.explorer import GRAPHQL_PATH, explorer_routes, render_page
from gallery_gateway.edge.replay import REPLAY_STORE, ReplayStore
from gallery_gateway.edge.responses import security_headers
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.client import AnyTransport
from gallery_gateway.upstream.resilience import PRODUCTION_RULES, ResilienceRules


@contextmanager
def draining(readiness: Readiness, *, delay_seconds: float) -> Iterator[None]:
    """Handle SIGTERM before the server does, if there is a server.

    The server closes its sockets as soon as it gets the signal. A delay passes the signal on that much later;
    in the meantime, each response asks its client to close the connection. SIGINT is never delayed.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or not isinstance(getattr(handler, "__self__", None), uvicorn.Server):
        yield
        return
    loop = asyncio.get_running_loop()

    def drain(number: int, frame: FrameType | None) -> None:
        is_first = not readiness.is_leaving
        readiness.leave()
        if is_first and delay_seconds:
            # A signal interrupts the loop between any two steps.
            loop.call_soon_threadsafe(loop.call_later, delay_seconds, handler, number, None)
        else:
            handler(number, frame)

    signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is drain:
            signal.signal(signal.SIGTERM, handler)


def create_app(
    settings: Settings | None = None,
    *,
    transport: AnyTransport | None = None,
    clock: Clock = SYSTEM_CLOCK,
    explorer_token: str | None = None,
    rules: ResilienceRules = PRODUCTION_RULES,
) -> FastAPI:
    """Return the gateway as an ASGI app.

    Args:
        settings: the environment's by default.
        transport: sends the upstream calls; tests pass their own.
        clock: measures freshness; tests pass their own.
        explorer_token: the token that GraphiQL starts with, for the made-up callers of the demo only.
        rules: constants of retries, breakers and the concurrency limit; tests pass shorter times.

    Raises:
        SettingsError: a setting is out of range, or needs an extra that is not installed.
    """
    settings = settings or Settings.read()
    instruments = Instruments(settings)
    gallery = build_gallery(settings, transport=transport, clock=clock, instruments=instruments, rules=rules)
    readiness = Readiness(lambda: gallery.is_sharing)
    headers = security_headers(hsts_max_age_seconds=settings.hsts_max_age_seconds)
    path = settings.graphiql_path
    page = render_page(path, token=explorer_token) if settings.graphiql else None
    replays = ReplayStore(readiness, instruments.operations)
    endpoint = build_endpoint(
        settings,
        gallery=gallery,
        page=page if path == GRAPHQL_PATH else None,
        security_headers=headers,
        replays=replays,
        instruments=instruments,
    )
    app = GatewayApp(
        path=GRAPHQL_PATH,
        endpoint=endpoint,
        security_headers=headers,
        readiness=readiness,
        title="Gallery gateway",
        version=__version__,
        lifespan=lambda _app: _running(gallery, instruments, readiness, replays, settings),
        openapi_url=None,
        root_path=settings.path_prefix or "",
    )
    app.include_router(health_router(readiness))
    if page is not None:
        app.router.routes.extend(explorer_routes(path, page))
    return app


@asynccontextmanager
async def _running(
    gallery: Gallery,
    instruments: Instruments,
    readiness: Readiness,
    replays: ReplayStore,
    settings: Settings,
) -> AsyncIterator[dict[str, object]]:
    """Run from start-up to shutdown, which undoes start-up in reverse order; yield the server's state."""
    async with instruments.running():
        await gallery.open()
        with _calm_collector():
            readiness.is_ready = True
            try:
                with draining(readiness, delay_seconds=settings.shutdown_delay_seconds):
                    yield {REPLAY_STORE: replays}
            finally:
                readiness.is_ready = False
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
