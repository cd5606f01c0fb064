"""What each operation begins with: its caller, and what its resolvers share."""

import asyncio
import secrets

from gallery_gateway.edge.caching import Wishes
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.ledger import Budget, Ledger
from gallery_gateway.gallery.loaders import GalleryLoaders
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.settings import Settings


class Operations:
    """Who asks, and what the resolvers of one operation share."""

    def __init__(self, settings: Settings, gallery: Gallery) -> None:
        self._gallery = gallery
        self._narrows = settings.narrowing
        self._timeout_seconds = settings.operation_timeout_seconds
        self._secret = _caller_key_secret(settings)
        self._budget = Budget(
            max_calls=settings.operation_max_calls, max_images=settings.operation_max_images
        )

    def caller(self, token: str | None) -> Caller | None:
        return Caller(token, secret=self._secret) if token else None

    async def context(
        self, caller: Caller | None, wishes: Wishes, *, timeout_seconds: float
    ) -> OperationContext:
        ledger = Ledger(self._budget)
        if caller is None:
            return OperationContext(ledger, None)
        timeout_seconds = min(timeout_seconds, self._timeout_seconds)
        loaders = GalleryLoaders(
            self._gallery,
            caller,
            ledger,
            narrows=self._narrows,
            skips_cache=wishes.skips_cache,
            if_error_seconds=wishes.if_error_seconds,
            until=asyncio.get_running_loop().time() + timeout_seconds,
        )
        return OperationContext(ledger, loaders)


def _caller_key_secret(settings: Settings) -> bytes:
    if settings.caller_key_secret is None:
        return secrets.token_bytes(32)
    return settings.caller_key_secret.get_secret_value().encode()
