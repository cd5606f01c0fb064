"""Loads pages and projects for one operation: batched, merged, and within its budget."""

import asyncio
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from aiodataloader import DataLoader

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.bulk import BulkLoad, LoadedProjects
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import CachedResponse, Gallery, LoadResult
from gallery_gateway.gallery.lookup import FieldNeeds, LoadKey
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import listed_project, slice_project
from gallery_gateway.gallery.usage import CacheStatus, OperationUsage
from gallery_gateway.upstream.contract import Page, UpstreamProject

_Calls = dict[LoadKey, "asyncio.Task[LoadResult[Page]]"]
Loaded = LoadResult[Page] | LoadResult[UpstreamProject | None]


class Batches(DataLoader[LoadKey, Loaded]):
    """aiodataloader's loader, with the batch as its method: one that it is given would tie it into a cycle.

    Args:
        skips_cache: whether nothing that is known or under way by now will do.
        until: when the operation gives up, in the loop's seconds; None = never.
    """

    def __init__(
        self,
        gallery: Gallery,
        caller: Caller,
        usage: OperationUsage,
        *,
        skips_cache: bool,
        until: float | None = None,
    ) -> None:
        super().__init__()
        self._gallery = gallery
        self._caller = caller
        self._usage = usage
        self._skips_cache = skips_cache
        # The number of the first flight that will do.
        self._since = gallery.next_flight if skips_cache else 0
        self._until = until
        self._charged: set[GalleryRequest] = set()

    async def loaded(self, load_key: LoadKey) -> Loaded:
        """Raises: GatewayError: upstream gave no page, or the operation asks for too much."""
        if load_key.is_alone:
            # Nothing else can come into its batch.
            return (await self.batch_load_fn([load_key]))[0]
        future = self.load(load_key)
        # Its waiter may be cancelled before it fails, and then nobody would ever look at the error.
        future.add_done_callback(_mark_seen)
        # Shielded, because a cancelled future would stay in the loader for the next field.
        return await asyncio.shield(future)

    async def batch_load_fn(self, load_keys: list[LoadKey]) -> list[Loaded]:
        """A batch: pages before projects, and the largest first, so that the others find them under way."""
        ordered = sorted(load_keys, key=lambda load_key: load_key.size, reverse=True)
        self._usage.loaded += len(load_keys)
        pages = [load_key for load_key in ordered if not load_key.is_project]
        projects = [load_key for load_key in ordered if load_key.is_project]
        self._charge(pages, projects)
        if len(load_keys) == 1:
            # Most batches: what follows, without a task of its own.
            load_key = load_keys[0]
            return [await self._project(load_key, {}) if load_key.is_project else await self._fetch(load_key)]
        calls: _Calls = {load_key: asyncio.create_task(self._fetch(load_key)) for load_key in pages}
        outcomes: Sequence[Loaded | BaseException] = await asyncio.gather(
            *(calls[load_key] for load_key in pages),
            *(self._project(load_key, calls) for load_key in projects),
            return_exceptions=True,
        )
        loaded = dict(zip(pages + projects, outcomes, strict=True))
        for load_key, outcome in loaded.items():
            if isinstance(outcome, BaseException):
                # aiodataloader remembers errors; a later field may ask again.
                self.clear(load_key)
        # It hands an exception in the list to the waiters of that key alone.
        return cast("list[Loaded]", [loaded[load_key] for load_key in load_keys])

    async def _project(self, load_key: LoadKey, calls: _Calls) -> LoadResult[UpstreamProject | None]:
        holders = [call for page, call in calls.items() if load_key.may_be_held_by(page)]
        for call in holders:
            with suppress(GatewayError):
                page = await call
                listed = listed_project(page.value, load_key.request.project_id)
                project = listed and slice_project(listed, of=page.request, to=load_key.request)
                if project is not None or (listed is None and page.request.covers(load_key.request)):
                    result = LoadResult(
                        load_key.request, project, page.entry, CacheStatus.COLLAPSED, load_key.needs_links
                    )
                    self.record(result)
                    return result
        page = await self._fetch(load_key)
        project = listed_project(page.value, load_key.request.project_id)
        return LoadResult(load_key.request, project, page.entry, page.outcome, load_key.needs_links)

    async def _fetch(self, load_key: LoadKey) -> LoadResult[Page]:
        result = await self._gallery.join_page(
            self._caller,
            load_key.request,
            needs_links=load_key.needs_links,
            read=load_key.read,
            since=self._since,
            until=self._until,
        )
        if result is None and not self._skips_cache:
            # A call may have landed between the look into the cache and this one for calls under way.
            result = self._gallery.get_page(self._caller, load_key.request, needs_links=load_key.needs_links)
        if result is None:
            result = await self._fetch_anew(load_key)
        self.record(result)
        return result

    async def _fetch_anew(self, load_key: LoadKey) -> LoadResult[Page]:
        if load_key.request not in self._charged:
            # What should have held it did not.
            self._usage.charge(calls=1, images=load_key.request.max_images)
        self._usage.calls += 1
        result = await self._gallery.fetch_page(
            self._caller,
            load_key.request,
            needs_links=load_key.needs_links,
            read=load_key.read,
            skips_cache=self._skips_cache,
            until=self._until,
        )
        if result.outcome is CacheStatus.SHARED:
            # Another process has made the call.
            self._usage.calls -= 1
        return result

    def _charge(self, pages: list[LoadKey], projects: list[LoadKey]) -> None:
        """Charges the calls that will be needed, before the first of them is made."""
        alone = [w for w in projects if not any(w.may_be_held_by(page) for page in pages)]
        calls: list[GalleryRequest] = []
        for load_key in pages + alone:
            request = load_key.request
            is_covered = any(call.covers(request) for call in calls)
            if not is_covered and not self._gallery.is_under_way(self._caller, request, since=self._since):
                calls.append(request)
        self._usage.charge(calls=len(calls), images=sum(call.max_images for call in calls))
        self._charged.update(calls)

    def record(self, result: LoadResult[Any]) -> None:
        clock, entry = self._gallery.clock, result.entry
        self._usage.record(
            result.outcome,
            entry,
            remaining_seconds=entry.remaining_seconds(clock, needs_links=result.needs_links),
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
        usage: OperationUsage,
        *,
        narrows: bool,
        skips_cache: bool,
        if_error_seconds: float = math.inf,
        until: float | None = None,
    ) -> None:
        self._gallery = gallery
        self._caller = caller
        self._usage = usage
        self._narrows = narrows
        self._skips_cache = skips_cache
        self._if_error_seconds = if_error_seconds
        self._batches = Batches(gallery, caller, usage, skips_cache=skips_cache, until=until)

    async def page(self, request: GalleryRequest, needs: FieldNeeds) -> LoadResult[Page]:
        """Raises: GatewayError: upstream gave no page, or the operation asks for too much."""
        load_key = self._load_key(request, needs, is_project=False)
        known = self._known_page(load_key)
        if known is not None:
            self._batches.record(known)
            return known
        return await self._load_page(load_key)

    async def project(self, request: GalleryRequest, needs: FieldNeeds) -> LoadResult[UpstreamProject | None]:
        """The project that the request names; None if it is unknown or not the caller's.

        Raises:
            GatewayError: upstream gave no page, or the operation asks for too much.
        """
        load_key = self._load_key(request, needs, is_project=True)
        return self._known_project(load_key) or await self._load_project(load_key)

    async def projects(self, numbers: Iterable[int], needs: FieldNeeds) -> LoadedProjects:
        """Each of the projects of these numbers, or why it could not be loaded."""
        load_keys = {
            number: self._load_key(GalleryRequest(project_id=number), needs, is_project=True)
            for number in dict.fromkeys(numbers)
        }
        references = BulkLoad(
            load_keys=load_keys,
            found=dict(self._known_projects(load_keys, needs_links=needs.needs_links)),
            usage=self._usage,
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
            self._usage,
            narrows=self._narrows,
            skips_cache=True,
            if_error_seconds=self._if_error_seconds,
        )

    def remember(self, result: LoadResult[Any], writer: Hashable, rendered: bytes) -> None:
        """Keeps what a delivery was written as with the page that it was got from, if that is worth it."""
        self._gallery.remember(self._caller, result, writer, rendered)

    def kept(self, result: LoadResult[Any], writer: Hashable) -> CachedResponse | None:
        """What is remembered of a delivery, to be given again without an operation."""
        return self._gallery.kept(self._caller, result, writer)

    def _load_key(self, request: GalleryRequest, needs: FieldNeeds, *, is_project: bool) -> LoadKey:
        cut = request.narrowed(needs.max_images)
        narrowed = cut if self._narrows else replace(request, keeps_cap=True)
        self._usage.asked += 1
        self._usage.wanted_images += request.max_images
        self._usage.narrowed_images += narrowed.max_images
        return LoadKey(narrowed, needs.needs_links, is_project, needs.read, needs.is_alone)

    def _known_page(self, load_key: LoadKey) -> LoadResult[Page] | None:
        if self._skips_cache:
            return None
        return self._gallery.get_page(self._caller, load_key.request, needs_links=load_key.needs_links)

    async def _load_page(self, load_key: LoadKey) -> LoadResult[Page]:
        return cast("LoadResult[Page]", await self._loaded(load_key))

    def _known_project(self, load_key: LoadKey) -> LoadResult[UpstreamProject | None] | None:
        if self._skips_cache:
            return None
        known = self._gallery.get_project(self._caller, load_key.request, needs_links=load_key.needs_links)
        if known is not None:
            self._batches.record(known)
        return known

    def _known_projects(
        self, load_keys: Mapping[int, LoadKey], *, needs_links: bool
    ) -> Iterator[tuple[int, UpstreamProject | None]]:
        if self._skips_cache:
            return
        requests = {number: load_key.request for number, load_key in load_keys.items()}
        known = self._gallery.get_projects(self._caller, requests, needs_links=needs_links)
        for number, result in known.items():
            self._batches.record(result)
            yield number, result.value

    async def _load_project(self, load_key: LoadKey) -> LoadResult[UpstreamProject | None]:
        return cast("LoadResult[UpstreamProject | None]", await self._loaded(load_key))

    async def _loaded(self, load_key: LoadKey) -> Loaded:
        """What no fresh page says: a stale one may, at once or when upstream has failed."""
        known = self._known_stale(load_key)
        if known is not None:
            return known
        try:
            return await self._batches.loaded(load_key)
        except GatewayError as exc:
            known = self._known_after(exc, load_key)
            if known is None:
                raise
            return known

    def _known_stale(self, load_key: LoadKey) -> LoadResult[Any] | None:
        if self._skips_cache:
            return None
        known = self._gallery.get_stale(self._caller, load_key, if_error_seconds=self._if_error_seconds)
        if known is not None:
            self._usage.spared += 1
            self._batches.record(known)
        return known

    def _known_after(self, error: GatewayError, load_key: LoadKey) -> LoadResult[Any] | None:
        known: LoadResult[Any] | None = None
        if not self._skips_cache:
            # Another call may have brought it meanwhile.
            get = self._gallery.get_project if load_key.is_project else self._gallery.get_page
            known = get(self._caller, load_key.request, needs_links=load_key.needs_links)
        if known is None:
            bound = self._if_error_seconds
            known = self._gallery.get_after(error, self._caller, load_key, if_error_seconds=bound)
        if known is not None:
            self._batches.record(known)
        return known
