"""Loads many projects by their ids, in as few calls as their sizes allow."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from gallery_gateway.errors import (
    BadUserInputError,
    GatewayError,
    RateLimitedError,
    UnauthenticatedError,
    UpstreamContractError,
)
from gallery_gateway.gallery.gallery import LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import FieldNeeds, LoadKey, Staleness, oldest
from gallery_gateway.gallery.planning import Condition, FirstLoads, KeyOf
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import slice_projects
from gallery_gateway.gallery.usage import OperationUsage
from gallery_gateway.upstream.contract import MAX_PER_PAGE, UpstreamProject

Found = UpstreamProject | GatewayError | None
"""The project of an id, the error of its load, or `None` if the caller has no such project."""

# The cost of a call beside its images, in images.
_CALL_WEIGHT = 75

_MAX_CONCURRENT = 8


def page_pays(projects: int, *, max_images: int) -> bool:
    """Return whether a list page with this many of the projects is cheaper than a call for each."""
    return projects >= _fewest_of_page(max_images)


def _fewest_of_page(max_images: int) -> int:
    return (_CALL_WEIGHT + MAX_PER_PAGE * max_images) // (_CALL_WEIGHT + max_images) + 1


def most_loaded(projects: int, *, max_images: int, max_calls: int) -> tuple[int, int]:
    """Return the most calls and images that loading projects by id costs, whichever pages list them."""
    fewest = _fewest_of_page(max_images)
    if projects < fewest:
        calls = min(projects, max_calls)
        return calls, calls * max_images
    # A page brings as many as make the next one pay, or is the last one.
    pages = projects // fewest
    alone = projects - (pages - 1) * fewest
    calls = min(1 + projects, max_calls)
    return calls, min(pages * MAX_PER_PAGE + alone, calls * MAX_PER_PAGE) * max_images


@dataclass(frozen=True, slots=True)
class LoadedProjects:
    """The projects by id, and the staleness of the oldest stale page that one came from."""

    found: Mapping[int, Found]
    staleness: Staleness | None


async def load_projects(loader: GalleryLoader, ids: Iterable[int], needs: FieldNeeds) -> LoadedProjects:
    """Load projects by id; an upstream error takes the place of the projects that it concerns."""
    keys = {
        project_id: loader.key(GalleryRequest(project_id=project_id), needs, is_project=True)
        for project_id in dict.fromkeys(ids)
    }
    load = _BulkLoad(loader, keys)
    await load.run()
    return LoadedProjects({project_id: load.found[project_id] for project_id in keys}, oldest(load.stale))


@dataclass(slots=True)
class _BulkLoad:
    """The state of one bulk load; `keys` have the same cap of images."""

    loader: GalleryLoader
    keys: Mapping[int, LoadKey]
    found: dict[int, Found] = field(default_factory=dict)
    stale: list[Staleness] = field(default_factory=list)
    error: GatewayError | None = None

    async def run(self) -> None:
        cached = zip(self.keys, self.loader.fresh(list(self.keys.values())), strict=True)
        self.found = {project_id: self._project(result) for project_id, result in cached if result}
        await self._load_pages()
        if self.error is None:
            await self._load_one_by_one()
        for project_id, key in self._missing().items():
            stale = self.error and self.loader.after_failure(self.error, key)
            self.found[project_id] = self._project(stale) if stale else self.error

    async def _load_pages(self) -> None:
        """Load list pages while they pay: each is expected to bring as many projects as the one before."""
        expected, page, has_next = len(self.keys), 1, True
        while has_next and (missing := self._missing()):
            key = _next_page(list(missing.values()), page, expected=expected)
            if key is None:
                return
            try:
                result = await self.loader.load_key(key)
            except (BadUserInputError, UpstreamContractError):
                # Over the budget, or damaged as a whole: single projects may still load.
                return
            except GatewayError as exc:
                self.error = exc
                return
            self._note_staleness(result)
            requests = {project_id: key.request for project_id, key in self.keys.items()}
            listed = slice_projects(result.value, of=key.request, to=requests)
            # The page was loaded for the first of them.
            for _ in list(listed.keys() - self.found.keys())[1:]:
                self.loader.record_repeat(result)
            self.found = {**listed, **self.found}
            expected, page = len(listed), page + 1
            has_next = result.value.pagination.has_next is True

    async def _load_one_by_one(self) -> None:
        """Load as many of the missing projects as the budget allows."""
        missing = self._missing()
        affordable, excess = _affordable(list(missing.values()), self.loader.usage)
        semaphore = asyncio.Semaphore(_MAX_CONCURRENT)
        await asyncio.gather(*(self._load_one(each, semaphore) for each in list(missing)[:affordable]))
        self.error = self.error or excess

    async def _load_one(self, project_id: int, semaphore: asyncio.Semaphore) -> None:
        async with semaphore:
            if self.error is not None:
                return
            try:
                self.found[project_id] = self._project(await self.loader.load_key(self.keys[project_id]))
            except (UnauthenticatedError, RateLimitedError) as exc:
                # The other calls would get the same response.
                self.found[project_id] = self.error = exc
            except GatewayError as exc:
                self.found[project_id] = exc

    def _missing(self) -> dict[int, LoadKey]:
        return {project_id: key for project_id, key in self.keys.items() if project_id not in self.found}

    def _project(self, result: LoadResult) -> UpstreamProject | None:
        self._note_staleness(result)
        project: UpstreamProject | None = result.value
        return project

    def _note_staleness(self, result: LoadResult) -> None:
        if result.staleness:
            self.stale.append(result.staleness)


def _next_page(missing: Sequence[LoadKey], page: int, *, expected: int) -> LoadKey | None:
    """Return the list page to load next, with the cap of images of the missing projects.

    Return `None` if it costs more than a call for each of the projects that it is expected to bring.
    """
    request = missing[0].request
    if not page_pays(min(expected, len(missing)), max_images=request.max_images_per_project):
        return None
    listed = replace(request, project_id=None, page=page, per_page=MAX_PER_PAGE)
    return LoadKey(listed, missing[0].needs_links, is_project=False)


def _affordable(missing: Sequence[LoadKey], usage: OperationUsage) -> tuple[int, BadUserInputError | None]:
    """Return how many of the projects can be loaded by a call each, and the error of the others."""
    images = sum(key.request.max_images for key in missing)
    excess = usage.excess(calls=len(missing), images=images)
    if excess is None:
        return len(missing), None
    return usage.affordable_calls(images_each=images // len(missing)), excess


def first_loads(key_of: KeyOf, ids: Iterable[int], needs: FieldNeeds, usage: OperationUsage) -> FirstLoads:
    """Return what `load_projects` loads first, with an empty cache."""
    requests = [GalleryRequest(project_id=project_id) for project_id in dict.fromkeys(ids)]
    keys = [key_of(request, needs, is_project=True) for request in requests]
    if not keys:
        return FirstLoads(keys=())
    page = _next_page(keys, 1, expected=len(keys))
    if page is not None and usage.excess(calls=1, images=page.request.max_images) is None:
        cap = page.request.max_images_per_project
        calls, images = most_loaded(len(keys), max_images=cap, max_calls=usage.budget.max_calls)
        return FirstLoads(
            keys=[page],
            condition=Condition.UNLESS_ALL_LISTED,
            further_calls=calls - 1,
            further_images=images - page.request.max_images,
        )
    affordable, excess = _affordable(keys, usage)
    first, later = keys[: min(affordable, _MAX_CONCURRENT)], keys[_MAX_CONCURRENT:affordable]
    errors = [((), excess)] if excess is not None else []
    return FirstLoads(keys=first, later=later, wanted_images=requests[0].max_images, errors=errors)
