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
from gallery_gateway.upstream.contract import UpstreamProject

# REST contract, `per_page`.
MAX_PER_PAGE = 100


@lru_cache(maxsize=4096)
def smallest_pages(positions: range) -> tuple[tuple[int, int], ...]:
    """Return number and size of the smallest pages that hold the positions: one page, or else two.

    Args:
        positions: in the list, from 0; 1 to 100 of them.
    """
    for pages in (1, 2):
        for per_page in range(-(-len(positions) // pages), MAX_PER_PAGE + 1):
            first, last = positions.start // per_page, (positions.stop - 1) // per_page
            if last - first < pages:
                return tuple((number + 1, per_page) for number in range(first, last + 1))
    raise ValueError(f"two pages do not hold {len(positions)} positions")


def without(positions: range, known: range) -> list[range]:
    """Return the positions before and after the known ones."""
    before = range(positions.start, min(positions.stop, known.start))
    behind = range(max(positions.start, known.stop), positions.stop)
    return [rest for rest in ((before, behind) if known else (positions,)) if rest]


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
    results: tuple[LoadResult, ...]

    @property
    def positions(self) -> range:
        """The positions from the first project to the last."""
        return range(min(self.projects), max(self.projects) + 1) if self.projects else range(0)

    def find(self, project_id: int | None) -> int | None:
        """Return the position of a project, or `None`."""
        for cursor, project in self.projects.items():
            # A damaged page may hold None, or a project without its id.
            if (
                project_id is not None
                and isinstance(project, UpstreamProject)
                and project.project_id == project_id
            ):
                return cursor
        return None

    def joined(self, other: "ProjectRange") -> "ProjectRange":
        projects = dict(sorted((self.projects | other.projects).items()))
        return ProjectRange(projects, self.total, self.results + other.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLoader:
    """Loads ranges of one list.

    Args:
        request: identifies the list; its window is ignored.
        strictly: whether pages with different totals raise `ListChangedError`.
    """

    loader: GalleryLoader
    request: GalleryRequest
    needs: FieldNeeds
    strictly: bool = True

    def thin(self) -> "ListLoader":
        """Return a loader of the same list that loads only the ids of its projects."""
        return dataclasses.replace(self, needs=THIN)

    def bypassing_cache(self) -> "ListLoader":
        """Return a loader of the same list that makes new calls and accepts different totals."""
        return dataclasses.replace(self, loader=self.loader.bypassing_cache(), strictly=False)

    async def load(self, positions: range, *, beside: ProjectRange | None = None) -> ProjectRange:
        """Load the pages that hold the positions.

        Args:
            positions: from 0; 1 to 100 of them.
            beside: a range whose total must be the same.

        Raises:
            GatewayError: an upstream call failed, or the budget is used up.
            ListChangedError: the pages give different totals.
        """
        pages = [self._page(*page) for page in smallest_pages(positions)]
        project_range, *others = [await pages[0]] if len(pages) == 1 else await asyncio.gather(*pages)
        counted = {part.total for part in (project_range, beside, *others) if part}
        if self.strictly and len(counted) > 1:
            raise ListChangedError
        for other in others:
            project_range = project_range.joined(other)
        return project_range

    async def _page(self, page: int, per_page: int) -> ProjectRange:
        request = replace(self.request, page=page, per_page=per_page)
        result = await self.loader.page(request, self.needs)
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
    """The projects to load: `count` after a cursor or before it; without one, from an end of the list."""

    count: int
    is_forward: bool
    cursor: CursorPosition | None = None

    def wanted(self, position: int) -> range:
        """Return the positions of the step that starts beside this one."""
        if self.is_forward:
            return range(position + 1, position + 1 + self.count)
        return range(max(0, position - self.count), position)


@dataclass(frozen=True, slots=True)
class Paginated:
    """The positions of a step in the list as it is now, and the range that was loaded for them."""

    wanted: range
    project_range: ProjectRange


async def paginate(loader: ListLoader, step: Step) -> Paginated:
    """Load the projects of a step.

    Raises:
        GatewayError: an upstream call failed, or the budget is used up.
    """
    try:
        return await _paginate(loader, step)
    except ListChangedError:
        return await _paginate(loader.bypassing_cache(), step)


async def _paginate(loader: ListLoader, step: Step) -> Paginated:
    if step.cursor is not None:
        return await _from_cursor(loader, step, step.cursor)
    if not step.is_forward:
        return await _from_end(loader, step)
    wanted = step.wanted(-1)
    return Paginated(wanted, await loader.load(wanted))


async def _from_end(loader: ListLoader, step: Step) -> Paginated:
    length = (await loader.thin().load(range(1))).total or 0
    project_range = await loader.load(step.wanted(length) or range(1))
    wanted = step.wanted(length if project_range.total is None else project_range.total)
    return Paginated(wanted, await _extended(loader, project_range, wanted))


async def _from_cursor(loader: ListLoader, step: Step, cursor: CursorPosition) -> Paginated:
    wanted = step.wanted(cursor.position)
    # Nothing was before the first position, but by now something may be.
    project_range = await loader.load(wanted or range(cursor.position, cursor.position + 1))
    position = await _position(loader, step, cursor, project_range)
    if position == cursor.position:
        return Paginated(wanted, project_range)
    wanted = step.wanted(position)
    return Paginated(wanted, await _extended(loader, project_range, wanted))


async def _position(
    loader: ListLoader, step: Step, cursor: CursorPosition, project_range: ProjectRange
) -> int:
    """Return where the cursor's project is now; if it cannot be found, estimate it from the totals."""
    found = project_range.find(cursor.project_id)
    if found is not None:
        return found
    if cursor.total is None or project_range.total is None or cursor.total == project_range.total:
        return cursor.position
    grown, descends = project_range.total - cursor.total, loader.request.order == "desc"
    if cursor.project_id is not None:
        for positions in _searched(cursor.position, grown, project_range.positions, descends=descends):
            searched = await loader.thin().load(positions, beside=project_range)
            found = searched.find(cursor.project_id)
            if found is not None:
                return found
    moved = _moved(grown, is_forward=step.is_forward, descends=descends)
    return max(-1 if step.is_forward else 0, cursor.position + moved)


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
    rest = [piece for positions in between for piece in without(positions, known)]
    return [*sorted(rest, key=lambda positions: likeliest not in positions), *without(around, known)]


def _moved(grown: int, *, is_forward: bool, descends: bool) -> int:
    """Return how far the position of a deleted project moved; in doubt a project is repeated."""
    if is_forward:
        return grown if descends else min(grown, -1)
    return max(grown + 1, 0) if descends else 0


async def _extended(loader: ListLoader, project_range: ProjectRange, wanted: range) -> ProjectRange:
    """Load the wanted positions that the range lacks."""
    last = wanted.stop if project_range.total is None else min(wanted.stop, project_range.total)
    for positions in without(range(wanted.start, last), project_range.positions):
        project_range = project_range.joined(await loader.load(positions, beside=project_range))
    return project_range
