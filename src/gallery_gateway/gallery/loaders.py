"""The loaders of one operation: what its fields ask for is gathered, merged, and asked for once."""

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from aiodataloader import DataLoader

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.demand import Demand
from gallery_gateway.gallery.gallery import Delivery, Gallery, Kept
from gallery_gateway.gallery.ledger import Ledger, Outcome
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import slice_project
from gallery_gateway.upstream.contract import Page, Project


@dataclass(frozen=True, slots=True)
class _Want:
    """What one field asks for: a page, or the project that the request names."""

    request: GalleryRequest
    needs_links: bool
    is_project: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.request.per_page, self.request.max_images_per_project

    def may_be_held_by(self, page: "_Want") -> bool:
        """Whether the project that is wanted would be enough if it stood on the page."""
        return (
            page.request.images == self.request.images
            and page.request.max_images_per_project >= self.request.max_images_per_project
        )


_Calls = dict[_Want, "asyncio.Task[Delivery[Page]]"]
_Loaded = Delivery[Page] | Delivery[Project | None]


class GalleryLoaders:
    """Made anew for each operation, inside the running loop (aiodataloader binds to it).

    Args:
        narrows: whether upstream is asked for no more images than the operation selects, and pages that
            were asked for with more images will do.
        skips_cache: whether nothing that is known or under way by now will do.
    """

    def __init__(
        self, gallery: Gallery, caller: Caller, ledger: Ledger, *, narrows: bool, skips_cache: bool
    ) -> None:
        self._gallery = gallery
        self._caller = caller
        self._ledger = ledger
        self._narrows = narrows
        self._skips_cache = skips_cache
        self._since = gallery.next_flight if skips_cache else 0
        self._charged: set[GalleryRequest] = set()
        self._loader: DataLoader[_Want, _Loaded] = DataLoader(self._load)

    async def page(self, request: GalleryRequest, demand: Demand) -> Delivery[Page]:
        """Raises: GatewayError: upstream gave no page, or the operation asks for too much."""
        want = self._want(request, demand, is_project=False)
        if not self._skips_cache:
            known = self._gallery.get_page(self._caller, want.request, needs_links=want.needs_links)
            if known is not None:
                self._record(known)
                return known
        return cast("Delivery[Page]", await self._loaded(want))

    async def project(self, request: GalleryRequest, demand: Demand) -> Delivery[Project | None]:
        """The project that the request names; None if it is unknown or not the caller's.

        Raises:
            GatewayError: upstream gave no page, or the operation asks for too much.
        """
        want = self._want(request, demand, is_project=True)
        if not self._skips_cache:
            known = self._gallery.get_project(self._caller, want.request, needs_links=want.needs_links)
            if known is not None:
                self._record(known)
                return known
        return cast("Delivery[Project | None]", await self._loaded(want))

    def remember(self, delivery: Delivery[Any], writer: Hashable, rendered: bytes) -> None:
        """Keeps what a delivery was written as with the page that it was got from, if that is worth it."""
        self._gallery.remember(self._caller, delivery, writer, rendered)

    def kept(self, delivery: Delivery[Any], writer: Hashable) -> Kept | None:
        """What is remembered of a delivery, to be given again without an operation."""
        return self._gallery.kept(self._caller, delivery, writer)

    def _want(self, request: GalleryRequest, demand: Demand, *, is_project: bool) -> _Want:
        cut = request.narrowed(demand.most_images)
        narrowed = cut if self._narrows else replace(request, keeps_cap=True)
        self._ledger.asked += 1
        self._ledger.wanted_images += request.most_images
        self._ledger.narrowed_images += narrowed.most_images
        return _Want(narrowed, demand.needs_links, is_project)

    async def _loaded(self, want: _Want) -> _Loaded:
        future = self._loader.load(want)
        # Its waiter may be cancelled before it fails, and then nobody would ever look at the error.
        future.add_done_callback(_mark_seen)
        # Shielded, because a cancelled future would stay in the loader for the next field.
        return await asyncio.shield(future)

    async def _load(self, wants: list[_Want]) -> list[_Loaded]:
        """A batch: pages before projects, and the largest first, so that the others find them under way."""
        ordered = sorted(wants, key=lambda want: want.size, reverse=True)
        self._ledger.loaded += len(wants)
        pages = [want for want in ordered if not want.is_project]
        projects = [want for want in ordered if want.is_project]
        self._charge(pages, projects)
        calls: _Calls = {want: asyncio.create_task(self._fetch(want)) for want in pages}
        outcomes: Sequence[_Loaded | BaseException] = await asyncio.gather(
            *(calls[want] for want in pages),
            *(self._project(want, calls) for want in projects),
            return_exceptions=True,
        )
        loaded = dict(zip(pages + projects, outcomes, strict=True))
        for want, outcome in loaded.items():
            if isinstance(outcome, BaseException):
                # aiodataloader remembers errors; a later field may ask again.
                self._loader.clear(want)
        # It hands an exception in the list to the waiters of that key alone.
        return cast("list[_Loaded]", [loaded[want] for want in wants])

    async def _project(self, want: _Want, calls: _Calls) -> Delivery[Project | None]:
        holders = [call for page, call in calls.items() if want.may_be_held_by(page)]
        for call in holders:
            with suppress(GatewayError):
                page = await call
                listed = _named(page.value, want.request.project_id)
                project = listed and slice_project(listed, of=page.request, to=want.request)
                if project is not None or (listed is None and page.request.covers(want.request)):
                    delivery = Delivery(
                        want.request, project, page.entry, Outcome.COLLAPSED, want.needs_links
                    )
                    self._record(delivery)
                    return delivery
        page = await self._fetch(want)
        project = _named(page.value, want.request.project_id)
        return Delivery(want.request, project, page.entry, page.outcome, want.needs_links)

    async def _fetch(self, want: _Want) -> Delivery[Page]:
        delivery = await self._gallery.join_page(
            self._caller, want.request, needs_links=want.needs_links, since=self._since
        )
        if delivery is None:
            if want.request not in self._charged:
                # What should have held it did not.
                self._ledger.charge(calls=1, images=want.request.most_images)
            self._ledger.calls += 1
            delivery = await self._gallery.fetch_page(
                self._caller, want.request, needs_links=want.needs_links
            )
        self._record(delivery)
        return delivery

    def _charge(self, pages: list[_Want], projects: list[_Want]) -> None:
        """Charges the calls that will be needed, before the first of them is made."""
        alone = [w for w in projects if not any(w.may_be_held_by(page) for page in pages)]
        calls: list[GalleryRequest] = []
        for want in pages + alone:
            request = want.request
            is_covered = any(call.covers(request) for call in calls)
            if not is_covered and not self._gallery.is_under_way(self._caller, request, since=self._since):
                calls.append(request)
        self._ledger.charge(calls=len(calls), images=sum(call.most_images for call in calls))
        self._charged.update(calls)

    def _record(self, delivery: Delivery[Any]) -> None:
        clock, entry = self._gallery.clock, delivery.entry
        self._ledger.record(
            delivery.outcome,
            entry,
            remaining_seconds=entry.remaining_seconds(clock, needs_links=delivery.needs_links),
            age_seconds=entry.age_seconds(clock),
        )


def _mark_seen(future: "asyncio.Future[_Loaded]") -> None:
    if not future.cancelled():
        future.exception()


def _named(page: Page, project_id: int | None) -> Project | None:
    for project in page.projects:
        # A damaged page may hold None here.
        if isinstance(project, Project) and project.project_id == project_id:
            return project
    return None
