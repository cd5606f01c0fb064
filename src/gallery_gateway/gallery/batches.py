"""The batches of one operation: what its fields ask for at one moment is merged into few calls."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from aiodataloader import DataLoader

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.delivery import Delivery
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.ledger import Ledger, Outcome
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import listed_project, slice_project
from gallery_gateway.gallery.want import Want
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
