"""The loader of one operation: narrows, batches and merges its loads, within its budget."""

import asyncio
import dataclasses
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from aiodataloader import DataLoader
from msgspec.structs import replace

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.flights import Flight
from gallery_gateway.gallery.gallery import Gallery, LoadResult
from gallery_gateway.gallery.lookup import (
    Accepts,
    CachedAnswer,
    FieldNeeds,
    Fresh,
    LoadKey,
    Miss,
    StaleWhileRevalidate,
)
from gallery_gateway.gallery.planning import KeyOf, PlannedLoad, plan_batch
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import listed_project, slice_project
from gallery_gateway.gallery.usage import CacheStatus, OperationUsage
from gallery_gateway.upstream.decoding import parse_page

_Task = asyncio.Task[LoadResult]


def narrowed_key(
    request: GalleryRequest, needs: FieldNeeds, *, is_project: bool, narrows: bool, keeps_window: bool
) -> LoadKey:
    """Return what is loaded for a request: no more than the field needs, if the loader `narrows`."""
    narrowed = request.narrowed(needs.max_images) if narrows else replace(request, keeps_cap=True)
    if keeps_window:
        narrowed = replace(narrowed, keeps_window=True)
    return LoadKey(narrowed, needs.needs_links, is_project, needs.decoder, needs.is_alone, needs.writer)


class GalleryLoader(DataLoader[LoadKey, LoadResult]):
    """Made for each operation, inside the running loop (aiodataloader binds to it).

    Args:
        narrows: whether requests are cut down to the images that the operation selects, and pages
            requested with a higher cap may answer.
        accepts: what the operation accepts from the cache. Without `fresh`, flights that began before
            the operation are not joined either, except for those that `accepts.forced_since` allows.
        until: when the operation gives up, in the loop's seconds; `None` = never.
    """

    def __init__(
        self,
        gallery: Gallery,
        caller: Caller,
        usage: OperationUsage,
        *,
        narrows: bool,
        accepts: Accepts,
        until: float | None = None,
    ) -> None:
        self._futures: dict[LoadKey, asyncio.Future[LoadResult]] = {}
        super().__init__(cache_map=self._futures)
        self.usage = usage
        self._gallery = gallery
        self._caller = caller
        self._narrows = narrows
        self._accepts = accepts
        self._until = until
        self._first_flight = 0 if accepts.fresh else gallery.flights.started
        self._charged: set[GalleryRequest] = set()

    async def page(self, request: GalleryRequest, needs: FieldNeeds) -> LoadResult:
        """Raises: GatewayError: the upstream call failed, or the budget is used up."""
        return await self.load_key(self.key(request, needs, is_project=False))

    async def project(self, request: GalleryRequest, needs: FieldNeeds) -> LoadResult:
        """Load the project that the request names; `None` if the caller has no such project.

        Raises:
            GatewayError: the upstream call failed, or the budget is used up.
        """
        return await self.load_key(self.key(request, needs, is_project=True))

    def bypassing_cache(self) -> "GalleryLoader":
        """Return a loader of the same operation that accepts only pages fetched from now on."""
        return GalleryLoader(
            self._gallery,
            self._caller,
            self.usage,
            narrows=self._narrows,
            accepts=Accepts(fresh=False, if_error_seconds=self._accepts.if_error_seconds),
            until=self._until,
        )

    def key(self, request: GalleryRequest, needs: FieldNeeds, *, is_project: bool) -> LoadKey:
        """Narrow a request to a field's needs, and count its images."""
        keeps_window = not self._gallery.cache.is_sized(self._caller.key)
        key = narrowed_key(
            request, needs, is_project=is_project, narrows=self._narrows, keeps_window=keeps_window
        )
        self.usage.wanted_images += request.max_images
        self.usage.narrowed_images += key.request.max_images
        return key

    def key_of(self) -> KeyOf:
        """Return a function that narrows like this loader and counts nothing."""
        keeps_window = not self._gallery.cache.is_sized(self._caller.key)
        return partial(narrowed_key, narrows=self._narrows, keeps_window=keeps_window)

    async def load_key(self, key: LoadKey) -> LoadResult:
        """Answer from the cache, or else by a call; if the call fails, by a stale page.

        Raises:
            GatewayError: the upstream call failed, or the budget is used up.
        """
        cached = self._cached(key) if self._accepts.fresh else self.fresh([key])[0]
        if cached is not None:
            return cached
        try:
            return await self._load(key)
        except GatewayError as exc:
            found = self.after_failure(exc, key)
            if found is None:
                raise
            return found

    def fresh(self, keys: Sequence[LoadKey]) -> list[LoadResult | None]:
        """Return the answers of fresh pages, `None` for a key without one."""
        return [
            self._answered(key, found.answer, CacheStatus.HIT) if isinstance(found, Fresh) else None
            for key, found in zip(
                keys, self._gallery.cache.lookup_all(self._caller, keys, self._accepts), strict=True
            )
        ]

    def after_failure(self, error: GatewayError, key: LoadKey) -> LoadResult | None:
        """Return what the cache has for a load whose call failed, or `None`."""
        accepts = self._accepts
        if error.consequences.allows_stale:
            self._gallery.cache.note_failure(self._caller, key, error.code)
        else:
            accepts = dataclasses.replace(accepts, if_error_seconds=-math.inf)
        match self._gallery.cache.lookup(self._caller, key, accepts, failed=error.code):
            case Fresh(answer):
                # Another call has brought it meanwhile.
                return self._answered(key, answer, CacheStatus.HIT)
            case Miss(fallback) if fallback is not None:
                return self._answered(key, fallback, CacheStatus.STALE)
        return None

    def _cached(self, key: LoadKey) -> LoadResult | None:
        """Return an answer that needs no waiting, or `None`."""
        match self._gallery.cache.lookup(self._caller, key, self._accepts):
            case Fresh(answer):
                return self._answered(key, answer, CacheStatus.HIT)
            case StaleWhileRevalidate(answer) if self._gallery.revalidate(self._caller, key, answer):
                pass
            case Miss(fallback) if fallback is not None:
                answer = fallback
                is_under_way = self._gallery.revalidate(self._caller, key, answer)
                if is_under_way and not self._accepts.revalidating:
                    return None
            case _:
                return None
        return self._answered(key, answer, CacheStatus.STALE)

    async def batch_load_fn(self, keys: list[LoadKey]) -> list[LoadResult]:
        """Load pages before projects and large pages first, so that the others find them in flight."""
        if len(keys) == 1:
            return [await self._load_one(keys[0])]
        loads = plan_batch(keys)
        self._charge(loads)
        tasks: dict[LoadKey, _Task] = {}
        for load in loads:
            pages = [tasks[page] for page in load.listed_on]
            tasks[load.key] = asyncio.create_task(self._load_one(load.key, pages))
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        loaded: dict[LoadKey, LoadResult | BaseException] = dict(zip(tasks, results, strict=True))
        for key, result in loaded.items():
            if isinstance(result, BaseException):
                # aiodataloader remembers errors, but a later field may load again.
                self.clear(key)
        # aiodataloader raises an exception in the list for the waiters of its key alone.
        return cast("list[LoadResult]", [loaded[key] for key in keys])

    async def _load(self, key: LoadKey) -> LoadResult:
        # A caller that has to wait enters neither a batch nor a flight.
        self._gallery.rate_limits.check(self._caller.key)
        if key.is_alone:
            # No other load can join its batch.
            return await self._load_one(key)
        is_repeat = key in self._futures
        future = self.load(key)
        # The error of a future whose waiter was cancelled would be logged as never retrieved.
        future.add_done_callback(_retrieve_error)
        try:
            # Shielded: a cancelled future would stay in the loader for the next field.
            result = await asyncio.shield(future)
        except GatewayError:
            if is_repeat:
                self.usage.record_repeat(key.request, age_seconds=None)
            raise
        if is_repeat:
            self.record_repeat(result)
        return result

    def record_repeat(self, result: LoadResult) -> None:
        """Record one more field that a result answers."""
        age_seconds = result.entry.age_seconds(self._gallery.clock)
        self.usage.record_repeat(result.entry.request, age_seconds=age_seconds)

    async def _load_one(self, key: LoadKey, pages: Sequence[_Task] = ()) -> LoadResult:
        return await self._project_from(pages, key) if key.is_project else await self._fetch(key)

    async def _project_from(self, pages: Sequence[_Task], key: LoadKey) -> LoadResult:
        """Load a project from the pages of its batch that may list it, or else by a call of its own."""
        for page_task in pages:
            with suppress(GatewayError):
                page = await page_task
                listed = listed_project(page.value, key.request.project_id)
                project = listed and slice_project(listed, of=page.key.request, to=key.request)
                if project is not None or (listed is None and page.key.request.covers(key.request)):
                    result = self._result(key, CachedAnswer(page.entry, project), CacheStatus.COLLAPSED)
                    self._record(result)
                    return result
        page = await self._fetch(key)
        project = listed_project(page.value, key.request.project_id)
        return self._result(key, CachedAnswer(page.entry, project), page.status)

    async def _fetch(self, key: LoadKey) -> LoadResult:
        """Join a flight that covers the request, or else fetch its page."""
        # A flight that has landed is found no more.
        while flight := self._flight(key.request):
            joined = await self._gallery.join(flight, self._caller, key, until=self._until)
            if joined is not None:
                self._record(joined)
                return joined
        if not key.is_alone:
            # A flight may have landed since the load was batched.
            [landed] = self.fresh([LoadKey(key.request, key.needs_links, is_project=False)])
            if landed is not None:
                return landed
        if key.request not in self._charged:
            self.usage.charge(calls=1, images=key.request.max_images)
        self.usage.calls += 1
        result = await self._gallery.fetch(
            self._caller, key, bypass_cache=not self._accepts.fresh, until=self._until
        )
        if result.status is CacheStatus.SHARED:
            # Another process made the call.
            self.usage.calls -= 1
        self._record(result)
        return result

    def _flight(self, request: GalleryRequest) -> Flight | None:
        """Return a flight that covers the request and that the operation may join."""
        find, forced_since = self._gallery.flights.find, self._accepts.forced_since
        return find(self._caller.key, request, since=self._first_flight, forced_since=forced_since)

    def _charge(self, loads: Sequence[PlannedLoad]) -> None:
        """Charge all calls of a batch before the first one is made."""
        planned = [load.key.request for load in loads if load.is_call]
        calls = [request for request in planned if self._flight(request) is None]
        self.usage.charge(calls=len(calls), images=sum(call.max_images for call in calls))
        self._charged.update(calls)

    def _answered(self, key: LoadKey, answer: CachedAnswer, status: CacheStatus) -> LoadResult:
        result = self._result(key, answer, status)
        self._record(result)
        return result

    def _result(self, key: LoadKey, answer: CachedAnswer, status: CacheStatus) -> LoadResult:
        is_complete = answer.response is None and key.decoder is parse_page
        answered = answer.value, answer.entry, status, answer.staleness, is_complete, answer.response
        return LoadResult(self._gallery, self._caller.key, key, *answered)

    def _record(self, result: LoadResult) -> None:
        clock, entry = self._gallery.clock, result.entry
        self.usage.record(
            result.status,
            entry,
            remaining_seconds=entry.remaining_seconds(clock, needs_links=result.key.needs_links),
            age_seconds=entry.age_seconds(clock),
        )


def _retrieve_error(future: "asyncio.Future[LoadResult]") -> None:
    if not future.cancelled():
        future.exception()
