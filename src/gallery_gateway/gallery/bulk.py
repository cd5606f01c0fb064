"""Loads many projects by their ids, with as few calls as their sizes allow."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gallery_gateway.errors import (
    BadUserInputError,
    GatewayError,
    RateLimitedError,
    UnauthenticatedError,
    UpstreamContractError,
)
from gallery_gateway.gallery.gallery import LoadResult
from gallery_gateway.gallery.lookup import LoadKey, Staleness, oldest
from gallery_gateway.gallery.slicing import slice_projects
from gallery_gateway.gallery.usage import OperationUsage
from gallery_gateway.upstream.contract import Page, UpstreamProject

Found = UpstreamProject | GatewayError | None
"""What comes of a number: its project, why it could not be loaded, or None where there is none."""

_PER_PAGE = 100

# What a call costs beside the images in its answer: as much as so many images.
_CALL_WEIGHT = 75

_MOST_AT_ONCE = 8


def page_pays(projects: int, *, max_images: int) -> bool:
    """Whether a list page that brings so many of the wanted projects is cheaper than a call for each."""
    return _CALL_WEIGHT + _PER_PAGE * max_images < projects * (_CALL_WEIGHT + max_images)


@dataclass(frozen=True, slots=True)
class LoadedProjects:
    """What came of the numbers, and of the oldest page past its freshness that told of them."""

    found: Mapping[int, Found]
    staleness: Staleness | None


@dataclass(slots=True, kw_only=True)
class BulkLoad:
    """The projects that one field refers to.

    Args:
        load_keys: by their numbers, all with the same cap of images.
        found: what the cache tells of them; it grows.
        known_page: a list page out of the cache, which can only tell what is not on it.
        load_page: a list page by a call.
        load_project: one project by a call.
        known_after: one project out of a page past its freshness, where a call has failed.
    """

    load_keys: Mapping[int, LoadKey]
    found: dict[int, Found]
    usage: OperationUsage
    known_page: Callable[[LoadKey], LoadResult[Page] | None]
    load_page: Callable[[LoadKey], Awaitable[LoadResult[Page]]]
    load_project: Callable[[LoadKey], Awaitable[LoadResult[UpstreamProject | None]]]
    known_after: Callable[[GatewayError, LoadKey], LoadResult[UpstreamProject | None] | None]
    _refusal: GatewayError | None = field(default=None, init=False)
    _stale: list[Staleness] = field(default_factory=list, init=False)

    async def load(self) -> LoadedProjects:
        """Never raises what the endpoint said: it stands in the place of the projects."""
        await self._from_pages()
        if self._refusal is None:
            await self._one_by_one()
        for number, load_key in self._missing().items():
            known = self._refusal and self.known_after(self._refusal, load_key)
            self.found[number] = self._noted(known).value if known else self._refusal
        found = {number: self.found[number] for number in self.load_keys}
        return LoadedProjects(found, oldest(self._stale))

    def _noted(self, result: LoadResult[Any]) -> LoadResult[Any]:
        if result.staleness:
            self._stale.append(result.staleness)
        return result

    def _missing(self) -> dict[int, LoadKey]:
        return {number: load_key for number, load_key in self.load_keys.items() if number not in self.found}

    async def _from_pages(self) -> None:
        """A page is hoped to bring as many as the one before it did; the first, all of them."""
        hoped, page_number, has_next = len(self.load_keys), 1, True
        while has_next and (missing := self._missing()):
            load_key = _list_page(next(iter(missing.values())), page_number)
            if not page_pays(min(hoped, len(missing)), max_images=load_key.request.max_images_per_project):
                return
            try:
                result = self._noted(self.known_page(load_key) or await self.load_page(load_key))
            except (BadUserInputError, UpstreamContractError):
                # Too large, or damaged as a whole: a project alone may still be had.
                return
            except GatewayError as exc:
                self._refusal = exc
                return
            hoped = self._take(result.value, load_key)
            has_next = result.value.pagination.has_next is True
            page_number += 1

    def _take(self, page: Page, load_key: LoadKey) -> int:
        """How many of the wanted projects stand on the page, were they missing or not."""
        requests = {number: wanted.request for number, wanted in self.load_keys.items()}
        listed = slice_projects(page, of=load_key.request, to=requests)
        self.found = {**listed, **self.found}
        return len(listed)

    async def _one_by_one(self) -> None:
        """As many as the operation can pay for, some at once."""
        missing = self._missing()
        images = sum(load_key.request.max_images for load_key in missing.values())
        refusal = self.usage.refusal(calls=len(missing), images=images)
        affordable = len(missing)
        if refusal is not None:
            affordable = self.usage.affordable_calls(images_each=images // len(missing))
        gate = asyncio.Semaphore(_MOST_AT_ONCE)
        await asyncio.gather(*(self._load_one(number, gate) for number in list(missing)[:affordable]))
        self._refusal = self._refusal or refusal

    async def _load_one(self, number: int, gate: asyncio.Semaphore) -> None:
        async with gate:
            if self._refusal is not None:
                return
            try:
                self.found[number] = self._noted(await self.load_project(self.load_keys[number])).value
            except (UnauthenticatedError, RateLimitedError) as exc:
                # The others would be told the same.
                self.found[number] = self._refusal = exc
            except GatewayError as exc:
                self.found[number] = exc


def _list_page(load_key: LoadKey, page_number: int) -> LoadKey:
    """A page of the whole list, with as many images of each project as are wanted of one."""
    request = replace(load_key.request, project_id=None, page=page_number, per_page=_PER_PAGE)
    return LoadKey(request, load_key.needs_links, is_project=False)
