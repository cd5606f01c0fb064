"""The loaders of one operation: from what a field asks for to what is known, or has to be fetched."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.batches import Batches, Loaded
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.delivery import Delivery, Kept
from gallery_gateway.gallery.demand import Demand
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.ledger import Ledger
from gallery_gateway.gallery.references import Projects, References
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.want import Want
from gallery_gateway.upstream.contract import Page, Project


class GalleryLoaders:
    """Made anew for each operation, inside the running loop (aiodataloader binds to it).

    Args:
        narrows: whether upstream is asked for no more images than the operation selects, and pages that
            were asked for with more images will do.
        skips_cache: whether nothing that is known or under way by now will do.
        if_error_seconds: how long past its freshness a page will do where upstream fails, at the most.
        until: when the operation gives up, in the loop's seconds; None = never.
    """

    def __init__(
        self,
        gallery: Gallery,
        caller: Caller,
        ledger: Ledger,
        *,
        narrows: bool,
        skips_cache: bool,
        if_error_seconds: float = math.inf,
        until: float | None = None,
    ) -> None:
        self._gallery = gallery
        self._caller = caller
        self._ledger = ledger
        self._narrows = narrows
        self._skips_cache = skips_cache
        self._if_error_seconds = if_error_seconds
        self._batches = Batches(gallery, caller, ledger, skips_cache=skips_cache, until=until)

    async def page(self, request: GalleryRequest, demand: Demand) -> Delivery[Page]:
        """Raises: GatewayError: upstream gave no page, or the operation asks for too much."""
        want = self._want(request, demand, is_project=False)
        known = self._known_page(want)
        if known is not None:
            self._batches.record(known)
            return known
        return await self._load_page(want)

    async def project(self, request: GalleryRequest, demand: Demand) -> Delivery[Project | None]:
        """The project that the request names; None if it is unknown or not the caller's.

        Raises:
            GatewayError: upstream gave no page, or the operation asks for too much.
        """
        want = self._want(request, demand, is_project=True)
        return self._known_project(want) or await self._load_project(want)

    async def projects(self, numbers: Iterable[int], demand: Demand) -> Projects:
        """Each of the projects of these numbers, or why it could not be loaded."""
        wants = {
            number: self._want(GalleryRequest(project_id=number), demand, is_project=True)
            for number in dict.fromkeys(numbers)
        }
        references = References(
            wants=wants,
            found=dict(self._known_projects(wants, needs_links=demand.needs_links)),
            ledger=self._ledger,
            known_page=self._known_page,
            load_page=self._load_page,
            load_project=self._load_project,
            known_after=self._known_after,
        )
        return await references.load()

    def anew(self) -> "GalleryLoaders":
        """Loaders of the same operation, for which nothing will do that is known or under way by now."""
        return GalleryLoaders(
            self._gallery,
            self._caller,
            self._ledger,
            narrows=self._narrows,
            skips_cache=True,
            if_error_seconds=self._if_error_seconds,
        )

    def remember(self, delivery: Delivery[Any], writer: Hashable, rendered: bytes) -> None:
        """Keeps what a delivery was written as with the page that it was got from, if that is worth it."""
        self._gallery.remember(self._caller, delivery, writer, rendered)

    def kept(self, delivery: Delivery[Any], writer: Hashable) -> Kept | None:
        """What is remembered of a delivery, to be given again without an operation."""
        return self._gallery.kept(self._caller, delivery, writer)

    def _want(self, request: GalleryRequest, demand: Demand, *, is_project: bool) -> Want:
        cut = request.narrowed(demand.most_images)
        narrowed = cut if self._narrows else replace(request, keeps_cap=True)
        self._ledger.asked += 1
        self._ledger.wanted_images += request.most_images
        self._ledger.narrowed_images += narrowed.most_images
        return Want(narrowed, demand.needs_links, is_project, demand.read, demand.is_alone)

    def _known_page(self, want: Want) -> Delivery[Page] | None:
        if self._skips_cache:
            return None
        return self._gallery.get_page(self._caller, want.request, needs_links=want.needs_links)

    async def _load_page(self, want: Want) -> Delivery[Page]:
        return cast("Delivery[Page]", await self._loaded(want))

    def _known_project(self, want: Want) -> Delivery[Project | None] | None:
        if self._skips_cache:
            return None
        known = self._gallery.get_project(self._caller, want.request, needs_links=want.needs_links)
        if known is not None:
            self._batches.record(known)
        return known

    def _known_projects(
        self, wants: Mapping[int, Want], *, needs_links: bool
    ) -> Iterator[tuple[int, Project | None]]:
        if self._skips_cache:
            return
        requests = {number: want.request for number, want in wants.items()}
        known = self._gallery.get_projects(self._caller, requests, needs_links=needs_links)
        for number, delivery in known.items():
            self._batches.record(delivery)
            yield number, delivery.value

    async def _load_project(self, want: Want) -> Delivery[Project | None]:
        return cast("Delivery[Project | None]", await self._loaded(want))

    async def _loaded(self, want: Want) -> Loaded:
        """What no fresh page says: a stale one may, at once or when upstream has failed."""
        known = self._known_stale(want)
        if known is not None:
            return known
        try:
            return await self._batches.loaded(want)
        except GatewayError as exc:
            known = self._known_after(exc, want)
            if known is None:
                raise
            return known

    def _known_stale(self, want: Want) -> Delivery[Any] | None:
        if self._skips_cache:
            return None
        known = self._gallery.get_stale(self._caller, want, if_error_seconds=self._if_error_seconds)
        if known is not None:
            self._ledger.spared += 1
            self._batches.record(known)
        return known

    def _known_after(self, error: GatewayError, want: Want) -> Delivery[Any] | None:
        known: Delivery[Any] | None = None
        if not self._skips_cache:
            # Another call may have brought it meanwhile.
            get = self._gallery.get_project if want.is_project else self._gallery.get_page
            known = get(self._caller, want.request, needs_links=want.needs_links)
        if known is None:
            bound = self._if_error_seconds
            known = self._gallery.get_after(error, self._caller, want, if_error_seconds=bound)
        if known is not None:
            self._batches.record(known)
        return known
