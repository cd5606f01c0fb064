"""Loads pages and projects for one operation: batched, merged, and within its budget."""

import asyncio
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from aiodataloader import DataLoader

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.bulk import Projects, References
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Delivery, Gallery, Kept
from gallery_gateway.gallery.lookup import Demand, Want
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import listed_project, slice_project
from gallery_gateway.gallery.usage import Ledger, Outcome
from gallery_gateway.upstream.contract import Page, Project

_Calls = dict[Want, "asyncio.Task[Delivery[Page]]"]
Loaded = Delivery[Page] | Delivery[Project | None]


class Batches(DataLoader[Want, Loaded]):
    """aiodataloader's loader, with the batch as its method: one that it is given would tie it into a cycle.

    Args:
        skips_cache: whether nothing that is known or under way by now will do.
        until: when the operation gives up, in the loop's seconds; None = never.
    """

    def __init__(
        self,
        gallery: Gallery,
        caller: Caller,
        ledger: Ledger,
        *,
        skips_cache: bool,
        until: float | None = None,
    ) -> None:
        super().__init__()
        self._gallery = gallery
        self._caller = caller
        self._ledger = ledger
        self._skips_cache = skips_cache
        # The number of the first flight that will do.
        self._since = gallery.next_flight if skips_cache else 0
        self._until = until
        self._charged: set[GalleryRequest] = set()

    async def loaded(self, want: Want) -> Loaded:
        """Raises: GatewayError: upstream gave no page, or the operation asks for too much."""
        if want.is_alone:
            # Nothing else can come into its batch.
            return (await self.batch_load_fn([want]))[0]
        future = self.load(want)
        # Its waiter may be cancelled before it fails, and then nobody would ever look at the error.
        future.add_done_callback(_mark_seen)
        # Shielded, because a cancelled future would stay in the loader for the next field.
        return await asyncio.shield(future)

    async def batch_load_fn(self, wants: list[Want]) -> list[Loaded]:
        """A batch: pages before projects, and the largest first, so that the others find them under way."""
        ordered = sorted(wants, key=lambda want: want.size, reverse=True)
        self._ledger.loaded += len(wants)
        pages = [want for want in ordered if not want.is_project]
        projects = [want for want in ordered if want.is_project]
        self._charge(pages, projects)
        if len(wants) == 1:
            # Most batches: what follows, without a task of its own.
            want = wants[0]
            return [await self._project(want, {}) if want.is_project else await self._fetch(want)]
        calls: _Calls = {want: asyncio.create_task(self._fetch(want)) for want in pages}
        outcomes: Sequence[Loaded | BaseException] = await asyncio.gather(
            *(calls[want] for want in pages),
            *(self._project(want, calls) for want in projects),
            return_exceptions=True,
        )
        loaded = dict(zip(pages + projects, outcomes, strict=True))
        for want, outcome in loaded.items():
            if isinstance(outcome, BaseException):
                # aiodataloader remembers errors; a later field may ask again.
                self.clear(want)
        # It hands an exception in the list to the waiters of that key alone.
        return cast("list[Loaded]", [loaded[want] for want in wants])

    async def _project(self, want: Want, calls: _Calls) -> Delivery[Project | None]:
        holders = [call for page, call in calls.items() if want.may_be_held_by(page)]
        for call in holders:
            with suppress(GatewayError):
                page = await call
                listed = listed_project(page.value, want.request.project_id)
                project = listed and slice_project(listed, of=page.request, to=want.request)
                if project is not None or (listed is None and page.request.covers(want.request)):
                    delivery = Delivery(
                        want.request, project, page.entry, Outcome.COLLAPSED, want.needs_links
                    )
                    self.record(delivery)
                    return delivery
        page = await self._fetch(want)
        project = listed_project(page.value, want.request.project_id)
        return Delivery(want.request, project, page.entry, page.outcome, want.needs_links)

    async def _fetch(self, want: Want) -> Delivery[Page]:
        delivery = await self._gallery.join_page(
            self._caller,
            want.request,
            needs_links=want.needs_links,
            read=want.read,
            since=self._since,
            until=self._until,
        )
        if delivery is None and not self._skips_cache:
            # A call may have landed between the look into the cache and this one for calls under way.
            delivery = self._gallery.get_page(self._caller, want.request, needs_links=want.needs_links)
        if delivery is None:
            delivery = await self._fetch_anew(want)
        self.record(delivery)
        return delivery

    async def _fetch_anew(self, want: Want) -> Delivery[Page]:
        if want.request not in self._charged:
            # What should have held it did not.
            self._ledger.charge(calls=1, images=want.request.most_images)
        self._ledger.calls += 1
        delivery = await self._gallery.fetch_page(
            self._caller,
            want.request,
            needs_links=want.needs_links,
            read=want.read,
            skips_cache=self._skips_cache,
            until=self._until,
        )
        if delivery.outcome is Outcome.SHARED:
            # Another process has made the call.
            self._ledger.calls -= 1
        return delivery

    def _charge(self, pages: list[Want], projects: list[Want]) -> None:
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

    def record(self, delivery: Delivery[Any]) -> None:
        clock, entry = self._gallery.clock, delivery.entry
        self._ledger.record(
            delivery.outcome,
            entry,
            remaining_seconds=entry.remaining_seconds(clock, needs_links=delivery.needs_links),
            age_seconds=entry.age_seconds(clock),
        )


def _mark_seen(future: "asyncio.Future[Loaded]") -> None:
    if not future.cancelled():
        future.exception()


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
