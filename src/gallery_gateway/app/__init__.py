"""Puts the parts together: settings in, an ASGI app out."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI

from gallery_gateway import __version__
from gallery_gateway.app.draining import draining
from gallery_gateway.app.endpoint import build_endpoint
from gallery_gateway.app.gallery import build_gallery
from gallery_gateway.app.guard import build_policy
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.edge.explorer import GRAPHQL_PATH, Explorer
from gallery_gateway.edge.front import Front
from gallery_gateway.edge.health import Readiness, health_router
from gallery_gateway.edge.verbatim import VERBATIM_REPEATS, VerbatimRepeats
from gallery_gateway.gallery.clock import SYSTEM_CLOCK, Clock
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError

if TYPE_CHECKING:
    from gallery_gateway.app.sharing import Sharing


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
        SettingsError: a setting is out of its range, or wants an extra that is not installed.
    """
    settings = settings or Settings.read()
    instruments = Instruments(settings)
    sharing = _sharing(settings)
    gallery = build_gallery(
        settings, transport=transport, clock=clock, instruments=instruments, sharing=sharing
    )
    readiness = Readiness(lambda: gallery.is_sharing)
    explorer = Explorer(path=settings.graphiql_path, token=explorer_token) if settings.graphiql else None
    policy = build_policy(settings, offers_page=explorer is not None and explorer.shares_path)
    app = Front(
        path=GRAPHQL_PATH,
        endpoint=build_endpoint(
            settings,
            gallery=gallery,
            explorer=explorer,
            policy=policy,
            instruments=instruments,
            sharing=sharing,
        ),
        shield=policy.shield,
        readiness=readiness,
        title="Gallery gateway",
        version=__version__,
        lifespan=lambda _app: _running(gallery, instruments, readiness, settings.shutdown_delay_seconds),
        openapi_url=None,
    )
    app.include_router(health_router(readiness))
    app.router.routes.extend(explorer.routes() if explorer else [])
    return app


@asynccontextmanager
async def _running(
    gallery: Gallery, instruments: Instruments, readiness: Readiness, delay_seconds: float
) -> AsyncIterator[dict[str, object]]:
    """From the start to the end, which undoes it in reverse order; gives what the server is to know of."""
    async with instruments.running():
        await gallery.open()
        with _calm_collector():
            readiness.is_ready = True
            try:
                with draining(readiness, delay_seconds=delay_seconds):
                    yield {VERBATIM_REPEATS: VerbatimRepeats(readiness)}
            finally:
                readiness.is_ready = False
                await gallery.aclose()


def _sharing(settings: Settings) -> "Sharing | None":
    """None unless a shared cache is set, which its secret then is too.

    Raises:
        SettingsError: its libraries are not installed.
    """
    if settings.shared_cache_url is None or settings.caller_key_secret is None:
        return None
    try:
        from gallery_gateway.app.sharing import Sharing  # noqa: PLC0415  # needs libraries of an extra
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"{ENVIRONMENT_PREFIX}SHARED_CACHE_URL: install gallery-gateway[shared] ({exc.name} is missing)"
        ) from exc
    return Sharing(
        settings,
        url=settings.shared_cache_url.get_secret_value(),
        secret=settings.caller_key_secret.get_secret_value(),
    )


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Cached pages hold no cycles: a full pass over them finds nothing, and stops the loop for 0.2 s."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
