"""Cursor pagination over the numbered pages of the REST API."""

import asyncio
import dataclasses
from dataclasses import dataclass
from functools import lru_cache

from msgspec.structs import replace

from gallery_gateway.gallery.gallery import LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import FieldNeeds
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.contract import Page, UpstreamProject

# REST contract, `per_page`.
MAX_PER_PAGE = 100


@lru_cache(maxsize=4096)
def smallest_pages(places: range) -> tuple[tuple[int, int], ...]:
    """Return number and size of the smallest pages that hold the positions: one page, or else two.

    Args:
        places: positions in the list, from 0; 1 to 100 of them.
    """
    for pages in (1, 2):
        for per_page in range(-(-len(places) // pages), MAX_PER_PAGE + 1):
            first, last = places.start // per_page, (places.stop - 1) // per_page
            if last - first < pages:
                return tuple((number + 1, per_page) for number in range(first, last + 1))
    raise ValueError(f"two pages do not hold {len(places)} positions")


def without(places: range, known: range) -> list[range]:
    """Return the positions before and after the known ones."""
    before = range(places.start, min(places.stop, known.start))
    behind = range(max(places.start, known.stop), places.stop)
    return [rest for rest in ((before, behind) if known else (places,)) if rest]


# The least that can be requested of a project.
THIN = FieldNeeds(max_images=0, needs_links=False)


class ListChangedError(Exception):
    """Two pages of one list give different totals: it changed between the calls."""


@dataclass(frozen=True, slots=True)
class ProjectRange:
    """A range of a list.

    Args:
        projects: by position in the list, from 0, in order; a damaged one may be `None`.
        total: the length of the list; `None` if the REST API does not give it.
        results: the pages that hold the projects.
    """

    projects: dict[int, UpstreamProject]
    total: int | None
    results: tuple[LoadResult[Page], ...]

    @property
    def places(self) -> range:
        """The positions from the first project to the last."""
        return range(min(self.projects), max(self.projects) + 1) if self.projects else range(0)

    def find(self, project_id: int | None) -> int | None:
        """Return the position of a project, or `None`."""
        for place, project in self.projects.items():
            # A damaged page may hold None, or a project without its id.
            if (
                project_id is not None
                and isinstance(project, UpstreamProject)
                and project.project_id == project_id
            ):
                return place
        return None

    def joined(self, other: "ProjectRange") -> "ProjectRange":
        projects = dict(sorted((self.projects | other.projects).items()))
        return ProjectRange(projects, self.total, self.results + other.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReader:
    """Loads ranges of one list.

    Args:
        request: identifies the list; its window is ignored.
        strictly: whether pages with different totals raise `ListChangedError`.
    """

    loaders: GalleryLoader
    request: GalleryRequest
    needs: FieldNeeds
    strictly: bool = True

    def thin(self) -> "ListReader":
        """Return a reader of the same list that loads only the ids of its projects."""
        return dataclasses.replace(self, needs=THIN)

    def bypassing_cache(self) -> "ListReader":
        """Return a reader of the same list that makes new calls and accepts different totals."""
        return dataclasses.replace(self, loaders=self.loaders.bypassing_cache(), strictly=False)

    async def read(self, places: range, *, beside: ProjectRange | None = None) -> ProjectRange:
        """Load the pages that hold the positions.

        Args:
            places: positions from 0; 1 to 100 of them.
            beside: a range whose total must be the same.

        Raises:
            GatewayError: an upstream call failed, or the budget is used up.
            ListChangedError: the pages give different totals.
        """
        pages = [self._page(*page) for page in smallest_pages(places)]
        project_range, *others = [await pages[0]] if len(pages) == 1 else await asyncio.gather(*pages)
        counted = {part.total for part in (project_range, beside, *others) if part}
        if self.strictly and len(counted) > 1:
            raise ListChangedError
        for other in others:
            project_range = project_range.joined(other)
        return project_range

    async def _page(self, page: int, per_page: int) -> ProjectRange:
        request = replace(self.request, page=page, per_page=per_page)
        result = await self.loaders.page(request, self.needs)
        total = result.value.pagination.total
        # A damaged page may hold a total of any type.
        known = total if type(total) is int else None
        projects = enumerate(result.value.projects, request.window.start)
        return ProjectRange(dict(projects), known, (result,))


@dataclass(frozen=True, slots=True)
class CursorPosition:
    """The position that a cursor names.

    Args:
        position: from 0.
        project_id: the project that was there; `None` if the REST API did not give its id.
        total: the length of the list then; `None` if the REST API did not give it.
    """

    position: int
    project_id: int | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The projects to load: `count` after a place or before it; without a place, from an end of the list."""

    count: int
    is_forward: bool
    place: CursorPosition | None = None

    def wanted(self, position: int) -> range:
        """Return the positions of the step that starts beside this one."""
        if self.is_forward:
            return range(position + 1, position + 1 + self.count)
        return range(max(0, position - self.count), position)


@dataclass(frozen=True, slots=True)
class Walked:
    """The positions of a step in the list as it is now, and the range that was loaded for them."""

    wanted: range
    project_range: ProjectRange


async def walk(reader: ListReader, step: Step) -> Walked:
    """Load the projects of a step.

    Raises:
        GatewayError: an upstream call failed, or the budget is used up.
    """
    try:
        return await _walk(reader, step)
    except ListChangedError:
        return await _walk(reader.bypassing_cache(), step)


async def _walk(reader: ListReader, step: Step) -> Walked:
    if step.place is not None:
        return await _from_place(reader, step, step.place)
    if not step.is_forward:
        return await _from_end(reader, step)
    wanted = step.wanted(-1)
    return Walked(wanted, await reader.read(wanted))


async def _from_end(reader: ListReader, step: Step) -> Walked:
    length = (await reader.thin().read(range(1))).total or 0
    project_range = await reader.read(step.wanted(length) or range(1))
    wanted = step.wanted(length if project_range.total is None else project_range.total)
    return Walked(wanted, await _extended(reader, project_range, wanted))


async def _from_place(reader: ListReader, step: Step, place: CursorPosition) -> Walked:
    wanted = step.wanted(place.position)
    # Nothing was before the first position, but by now something may be.
    project_range = await reader.read(wanted or range(place.position, place.position + 1))
    position = await _position(reader, step, place, project_range)
    if position == place.position:
        return Walked(wanted, project_range)
    wanted = step.wanted(position)
    return Walked(wanted, await _extended(reader, project_range, wanted))


async def _position(
    reader: ListReader, step: Step, place: CursorPosition, project_range: ProjectRange
) -> int:
    """Return where the cursor's project is now; if it cannot be found, estimate it from the totals."""
    found = project_range.find(place.project_id)
    if found is not None:
        return found
    if place.total is None or project_range.total is None or place.total == project_range.total:
        return place.position
    grown, descends = project_range.total - place.total, reader.request.order == "desc"
    if place.project_id is not None:
        for places in _searched(place.position, grown, project_range.places, descends=descends):
            searched = await reader.thin().read(places, beside=project_range)
            found = searched.find(place.project_id)
            if found is not None:
                return found
    moved = _moved(grown, is_forward=step.is_forward, descends=descends)
    return max(-1 if step.is_forward else 0, place.position + moved)


def _searched(position: int, grown: int, known: range, *, descends: bool) -> list[range]:
    """Return where to search a project that moved, the likeliest range first.

    New projects come first in a descending list and last in an ascending one; any project may be deleted.
    """
    shifted = max(0, position + grown)
    low, high = min(position, shifted), max(position, shifted)
    likeliest = shifted if descends else position
    near = max(0, likeliest - MAX_PER_PAGE // 2)
    around = range(near, near + MAX_PER_PAGE)
    between = [range(low, high + 1)] if high - low < MAX_PER_PAGE else []
    rest = [piece for places in between for piece in without(places, known)]
    return [*sorted(rest, key=lambda places: likeliest not in places), *without(around, known)]


def _moved(grown: int, *, is_forward: bool, descends: bool) -> int:
    """Return how far the place of a deleted project moved; in doubt a project is repeated, not left out."""
    if is_forward:
        return grown if descends else min(grown, -1)
    return max(grown + 1, 0) if descends else 0


async def _extended(reader: ListReader, project_range: ProjectRange, wanted: range) -> ProjectRange:
    """Load the wanted positions that the range lacks."""
    last = wanted.stop if project_range.total is None else min(wanted.stop, project_range.total)
    for places in without(range(wanted.start, last), project_range.places):
        project_range = project_range.joined(await reader.read(places, beside=project_range))
    return project_range
