"""The loaders of one operation: what its fields ask for is gathered, and asked for once."""

import asyncio
from collections.abc import Sequence
from typing import cast

from aiodataloader import DataLoader

from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.contract import Page, Project


class GalleryLoaders:
    """Made anew for each operation, inside the running loop (aiodataloader binds to it)."""

    def __init__(self, gallery: Gallery, caller: Caller) -> None:
        self._gallery = gallery
        self._caller = caller
        self._pages: DataLoader[GalleryRequest, Page] = DataLoader(self._load_pages)

    async def page(self, request: GalleryRequest) -> Page:
        """Raises: GatewayError: upstream gave no page."""
        # Shielded, because a cancelled future would stay in the loader for the next field.
        return await asyncio.shield(self._pages.load(request))

    async def project(self, request: GalleryRequest) -> Project | None:
        """The project that the request names; None if it is unknown or not the caller's."""
        page = await self.page(request)
        for project in page.projects:
            # A damaged page may hold None here.
            if isinstance(project, Project) and project.project_id == request.project_id:
                return project
        return None

    async def _load_pages(self, requests: list[GalleryRequest]) -> list[Page]:
        outcomes: Sequence[Page | BaseException] = await asyncio.gather(
            *(self._gallery.page(self._caller, request) for request in requests),
            return_exceptions=True,
        )
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                # aiodataloader remembers errors; a later field may ask again.
                self._pages.clear(request)
        # It hands an exception in the list to the waiters of that key alone.
        return cast("list[Page]", outcomes)
