"""Cursor pagination over the numbered pages of the REST API.

What comes next is read, not calculated: the page of a step holds the project of the cursor, and the projects
beside it in that page are the next ones. So neither a change of the list nor a wrong number omits or
repeats a project. Numbers only say where to look, and whether to look further (`docs/faults.md`).
"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from msgspec.structs import replace

from gallery_gateway.errors import BadUserInputError, UpstreamContractError
from gallery_gateway.gallery.entry import project_ids_of
from gallery_gateway.gallery.gallery import LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import FieldNeeds
from gallery_gateway.gallery.planning import FirstLoads, KeyOf
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import answered_size
from gallery_gateway.gallery.usage import CacheStatus
from gallery_gateway.upstream.contract import MAX_PER_PAGE, Page, UpstreamProject

# The least that can be requested of a project.
THIN = FieldNeeds(max_images=0, needs_links=False)

# Projects that a cursor names on each side of its own, in case its own is deleted.
NEIGHBOURS = 3
NEIGHBOUR_BITS = 0xFFFF_FFFF

# No smaller page holds a project and one beside it.
_MIN_SIZE = 2

# Pages that are read past one without projects.
_MAX_EMPTY_PAGES = 3

# The end of a list moves while it is searched, or is not where the total says.
_MAX_END_ATTEMPTS = 3

# Positions at which the project of a cursor is searched, beside the page of the cursor.
_MAX_SIGHTINGS = 4

# The calls that may follow the first one: a page that fills the step, and before it those of `_from_end`, or
# of `_searched`: a page beside the cursor, two for each position, and the pages of `_across`.
_MAX_FROM_END = _MAX_END_ATTEMPTS + 1
_MAX_FROM_CURSOR = 1 + 2 * _MAX_SIGHTINGS + (_MAX_EMPTY_PAGES + 1) + 1

# Every page has the total, so the smallest is enough for it.
_SMALLEST_PAGE = 1, 1


@lru_cache(maxsize=4096)
def best_page(position: int, before: int, after: int, max_size: int = MAX_PER_PAGE) -> tuple[int, int]:
    """Return number and size of the smallest page that holds a position and others before and after it.

    If no page of at most `max_size` holds them all, it is the one that holds most of them.
    """
    best, most = (position + 1, 1), 0
    for size in range(2, max_size + 1):
        number, index = divmod(position, size)
        held = min(index, before) + min(size - 1 - index, after)
        if held > most:
            best, most = (number + 1, size), held
    return best


@dataclass(frozen=True, slots=True)
class CursorPosition:
    """The position that a cursor names, and what was there.

    Args:
        position: from 0.
        project_id: `None` if the REST API did not give it.
        total: the length of the list then; `None` if the REST API did not give it.
        max_size: the largest page that the REST API is known to answer in full.
        before: the lowest 32 bits of the ids of the projects before it, the nearest first.
        after: of those after it.
    """

    position: int
    project_id: int | None
    total: int | None
    max_size: int = MAX_PER_PAGE
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The projects to load: `count` after a cursor or before it; without one, from an end of the list."""

    count: int
    is_forward: bool
    cursor: CursorPosition | None = None

    @property
    def is_from_end(self) -> bool:
        return not self.is_forward and self.cursor is None

    def first_page(self) -> tuple[int, int]:
        """Return number and size of the page that is loaded first."""
        if self.cursor is not None:
            return best_page(*self.beside(self.cursor.position), self.cursor.max_size)
        # The last page can be shorter than requested for two reasons. A largest page shows if one is left.
        return 1, MAX_PER_PAGE if self.is_from_end else self.count

    def beside(self, position: int, *, slack: int = 0) -> tuple[int, int, int]:
        """Return a position with the number of others that the step needs before and after it."""
        if self.is_forward:
            # One more shows that the list goes on, whatever the numbers say.
            return position, slack, self.count + 1
        # Projects may have been added in front of the first one.
        return position, min(self.count + slack, position), max(slack, self.count - position)


@dataclass(frozen=True, slots=True, eq=False)
class ListPage:
    """The answer to one page of a list.

    Args:
        ids: of the projects, in order; `None` for a damaged one.
        total: `None` if the REST API did not give it, like `has_next`.
        max_size: the largest page that the REST API is known to answer in full.
        is_resized: whether the REST API answered another page, or one of another size.
    """

    result: LoadResult
    number: int
    size: int
    projects: list[UpstreamProject]
    ids: tuple[int | None, ...]
    total: int | None
    has_next: bool | None
    max_size: int
    is_resized: bool

    @classmethod
    def of(cls, result: LoadResult, number: int, size: int, max_size: int) -> Self:
        page: Page = result.value
        # A damaged page may hold values of any type.
        total = page.pagination.total if type(page.pagination.total) is int else None
        has_next = page.pagination.has_next if type(page.pagination.has_next) is bool else None
        answered = ((page.pagination.page, number), (page.pagination.per_page, size))
        is_other = any(type(value) is int and value != requested for value, requested in answered)
        is_resized = is_other or len(page.projects) > size
        ids = project_ids_of(page)
        return cls(result, number, size, page.projects, ids, total, has_next, max_size, is_resized)

    @property
    def start(self) -> int:
        return (self.number - 1) * self.size

    @property
    def stop(self) -> int:
        return self.start + len(self.projects)

    def may_go_on(self) -> bool:
        """Whether a number says that projects follow, or a full page without a total leaves it open."""
        numbers = self._says_more(self.stop if self.projects else 0)
        return any(numbers) or (len(self.projects) >= self.size and (self.total or 0) < self.stop)

    def must_go_on(self, seen: int = 0) -> bool:
        """Whether all numbers say that projects follow, where as many as `seen` were seen."""
        numbers = self._says_more(seen)
        return bool(numbers) and all(numbers)

    def _says_more(self, seen: int) -> list[bool]:
        """Whether projects follow, by each number that counts; a total below what was seen does not."""
        by_total = [] if self.total is None or self.total < seen else [self.total > self.stop]
        return by_total if self.has_next is None else [*by_total, self.has_next]

    @property
    def is_consistent(self) -> bool:
        """Whether its numbers fit together and to its projects."""
        if self.total is None or self.has_next is None or self.is_resized:
            return False
        end = min(self.start + self.size, max(self.total, self.start))
        return self.stop == end and self.has_next == (self.total > end)

    @property
    def is_last(self) -> bool:
        """Whether neither its numbers nor its projects show that others follow."""
        is_covered = self.total is not None and self.stop <= self.total <= self.start + self.size
        return bool(self.ids) and is_covered and self.has_next is not True and not self.is_resized

    def locate(self, cursor: CursorPosition, *, is_forward: bool) -> tuple[int, int] | None:
        """Find the project of a cursor, or else the place where it was between its neighbours.

        Returns:
            the index of the project that was found, and that of the first project after the place.
        """
        if cursor.project_id is None:
            index = cursor.position - self.start
            return (index, index + is_forward) if 0 <= index < len(self.ids) else None
        if cursor.project_id in self.ids:
            index = self.ids.index(cursor.project_id)
            return index, index + is_forward
        if self.result.status is not CacheStatus.MISS:
            # The page may be older than the cursor, so that it still shows what was deleted between.
            return None
        ids = [None if each is None else each & NEIGHBOUR_BITS for each in self.ids]
        before = next((ids.index(each) for each in cursor.before if each in ids), None)
        # The page must also show what is on the other side of the place.
        if before is not None and before + 1 < len(ids):
            return before, before + 1
        after = next((ids.index(each) for each in cursor.after if each in ids), None)
        return None if after is None or (after == 0 < self.start) else (after, after)

    def cursor(self, index: int) -> CursorPosition:
        before = self.ids[max(0, index - NEIGHBOURS) : index][::-1]
        after = self.ids[index + 1 : index + 1 + NEIGHBOURS]
        return CursorPosition(
            self.start + index,
            self.ids[index],
            self.total,
            self.max_size,
            tuple([each & NEIGHBOUR_BITS for each in before if each is not None]),
            tuple([each & NEIGHBOUR_BITS for each in after if each is not None]),
        )


Row = tuple[ListPage, int]
"""A project by its index in a page."""


@dataclass(frozen=True, slots=True)
class Paginated:
    """The projects of a step, in order, and whether the list goes on beside them.

    Args:
        pages: those that hold the projects, or the one that says that there are none.
    """

    rows: list[Row]
    pages: list[ListPage]
    has_next: bool
    has_previous: bool

    @property
    def results(self) -> list[LoadResult]:
        return [page.result for page in self.pages]

    @property
    def shown(self) -> tuple[int, ...]:
        """What is shown of a single page: the indexes of its projects, and what lies beside them."""
        indexes = [index for _, index in self.rows]
        return (*indexes, -1, self.has_next, self.has_previous, self.pages[0].max_size)

    @property
    def total(self) -> int | None:
        """The total of the REST API, but at least what was seen."""
        total = self.pages[-1].total
        return None if total is None else max(total, *[page.stop for page in self.pages if page.projects], 0)


@dataclass(slots=True, kw_only=True)
class ListLoader:
    """Loads pages of one list, and learns from them how large they may be.

    Args:
        request: identifies the list; its window is ignored.
        max_size: the largest page that the REST API is known to answer in full.
        is_consistent: whether the numbers of all pages fitted together.
    """

    loader: GalleryLoader
    request: GalleryRequest
    needs: FieldNeeds
    max_size: int = MAX_PER_PAGE
    is_consistent: bool = True

    def bypass_cache(self) -> None:
        """Make new calls from now on."""
        self.loader = self.loader.bypassing_cache()

    async def load(self, number: int, size: int, *, is_thin: bool = False) -> ListPage:
        """Load a page; one that `is_thin` has little more than the ids of its projects.

        Raises:
            GatewayError: the upstream call failed, or the budget is used up.
        """
        request = replace(self.request, page=number, per_page=size)
        result = await self.loader.page(request, THIN if is_thin else self.needs)
        answered = answered_size(result.value, request)
        # Once a size is known that is answered in full, pages are shorter for other reasons.
        if answered is not None and self.max_size == MAX_PER_PAGE:
            self.max_size = min(max(answered, _MIN_SIZE), MAX_PER_PAGE)
        page = ListPage.of(result, number, size, self.max_size)
        self.is_consistent = self.is_consistent and answered is None and page.is_consistent
        return page

    async def beside(self, step: Step, position: int, *, slack: int = 0) -> ListPage:
        """Load the page that holds a position and most of the projects that the step needs beside it."""
        return await self.load(*best_page(*step.beside(position, slack=slack), self.max_size))


async def paginate(loader: ListLoader, step: Step) -> Paginated:
    """Load the projects of a step; fewer, if the REST API answers pages that are smaller than requested.

    Raises:
        GatewayError: an upstream call failed, or the budget is used up.
        BadUserInputError: neither the project of the cursor nor its neighbours can be found.
        UpstreamContractError: the numbers of the REST API do not say where the list goes on.
    """
    if step.cursor is not None:
        loader.max_size = step.cursor.max_size
    page = await loader.load(*step.first_page(), is_thin=step.is_from_end)
    if step.cursor is not None:
        part = _from_page(step, step.cursor, page) or await _searched(loader, step, step.cursor, page)
    elif step.is_from_end:
        part = await _from_end(loader, step, page)
    else:
        part = _part(step, page, 0)
        if not part.rows and page.must_go_on():
            raise _contradiction(page)
    return await _filled(loader, step, part)


async def count(loader: ListLoader) -> Paginated:
    """Load the total alone.

    Raises:
        GatewayError: the upstream call failed, or the budget is used up.
        UpstreamContractError: the total is too small for what the page says.
    """
    page = await loader.load(*_SMALLEST_PAGE, is_thin=True)
    if page.total is not None and page.total < page.stop + (page.has_next is True):
        raise _contradiction(page)
    return Paginated([], [page], has_next=False, has_previous=False)


def first_loads(key_of: KeyOf, request: GalleryRequest, step: Step, needs: FieldNeeds | None) -> FirstLoads:
    """Return what `paginate` loads first; without needs, what `count` loads."""
    number, size = _SMALLEST_PAGE if needs is None else step.first_page()
    listed = replace(request, page=number, per_page=size)
    key = key_of(listed, THIN if needs is None or step.is_from_end else needs, is_project=False)
    if needs is None or (step.is_forward and step.cursor is None):
        return FirstLoads(keys=[key], wanted_images=listed.max_images)
    largest = replace(request, page=1, per_page=MAX_PER_PAGE)
    further_calls = _MAX_FROM_END if step.is_from_end else _MAX_FROM_CURSOR
    return FirstLoads(
        keys=[key],
        wanted_images=listed.max_images,
        further_calls=further_calls,
        further_images=further_calls * key_of(largest, needs, is_project=False).request.max_images,
    )


def _part(step: Step, page: ListPage, place: int, *, shown: ListPage | None = None) -> Paginated:
    """Return the projects of a page that follow a place in it, or come before it, each once.

    Args:
        step: says how many, and in which direction.
        page: holds the projects.
        place: the index of the first project after the place.
        shown: a page whose projects are left out.
    """
    ids = page.ids
    indexes = range(place, len(ids)) if step.is_forward else range(place - 1, -1, -1)
    known = {*(ids[:place] if step.is_forward else ids[place:]), *(shown.ids if shown else ())}
    taken: list[int] = []
    for index in indexes:
        # A damaged project has no id.
        if ids[index] is None or ids[index] not in known:
            taken.append(index)
            known.add(ids[index])
        if len(taken) == step.count:
            break
    if not taken:
        # There is no cursor to go on with.
        return Paginated([], [page], has_next=False, has_previous=False)
    taken.sort()
    # A full page without room for the step shows no end.
    is_open = step.is_forward and len(taken) < step.count and len(ids) >= page.size
    has_next = taken[-1] + 1 < len(ids) or page.may_go_on() or is_open
    return Paginated([(page, index) for index in taken], [page], has_next, taken[0] > 0 or page.start > 0)


def _from_page(step: Step, cursor: CursorPosition, page: ListPage) -> Paginated | None:
    """Return what a page says of the step; `None` if it does not show what is beside the cursor."""
    found = page.locate(cursor, is_forward=step.is_forward)
    if found is None:
        return None
    part = _part(step, page, found[1])
    goes_on = page.may_go_on() if step.is_forward else page.start > 0
    return None if not part.rows and goes_on else part


async def _searched(loader: ListLoader, step: Step, cursor: CursorPosition, page: ListPage) -> Paginated:
    """Search the project of the cursor, and return the step from there."""
    sighted = page
    loader.bypass_cache()
    for position in (None, *_likely_positions(cursor, page, loader)):
        if position is not None:
            half = loader.max_size // 2
            around = best_page(position, min(half, position), half, loader.max_size)
            sighted = await loader.load(*around, is_thin=True)
        found = sighted.locate(cursor, is_forward=step.is_forward)
        if found is None:
            continue
        page = await loader.beside(step, sighted.start + found[0], slack=1)
        part = _from_page(step, cursor, page)
        if part is not None:
            return part
        is_grid = page.size <= loader.max_size and not page.is_resized
        if is_grid and page.locate(cursor, is_forward=step.is_forward):
            return await _across(loader, step, page)
    if not loader.is_consistent:
        raise _contradiction(page)
    name = "after" if step.is_forward else "before"
    message = (
        f"The projects around the cursor `{name}` cannot be found any more. Start over without `{name}`."
    )
    raise BadUserInputError(message, argument=name)


def _likely_positions(cursor: CursorPosition, page: ListPage, loader: ListLoader) -> list[int]:
    """Return where to search a project that moved, the likeliest position first.

    New projects come first in a descending list and last in an ascending one; any project may be deleted.
    """
    grown = 0 if cursor.total is None or page.total is None else page.total - cursor.total
    positions = [cursor.position + grown, cursor.position]
    likeliest = positions[0] if loader.request.order == "desc" else positions[1]
    reach = 3 * loader.max_size // 4
    return [
        max(0, each) for each in (likeliest, sum(positions) - likeliest, likeliest + reach, likeliest - reach)
    ]


async def _across(loader: ListLoader, step: Step, page: ListPage) -> Paginated:
    """Return the step from the pages beside a page that ends with the project of the cursor.

    No page that is answered in full holds projects on both sides of the place. The page is read once more
    after the others, to see that nothing has moved between them.
    """
    number, part = page.number, Paginated([], [page], has_next=False, has_previous=False)
    for _ in range(_MAX_EMPTY_PAGES):
        number += 1 if step.is_forward else -1
        if number < 1:
            break
        beside = await loader.load(number, page.size)
        part = _part(step, beside, 0 if step.is_forward else len(beside.ids), shown=page)
        if part.rows or (step.is_forward and not beside.must_go_on(page.stop)):
            break
    else:
        raise _contradiction(page)
    loader.bypass_cache()
    again = await loader.load(page.number, page.size, is_thin=True)
    if again.ids != page.ids:
        raise _contradiction(again)
    return part


async def _from_end(loader: ListLoader, step: Step, page: ListPage) -> Paginated:
    if page.total == 0 and page.is_consistent:
        return _part(step, page, 0)
    for _ in range(_MAX_END_ATTEMPTS):
        if page.total is None:
            break
        is_size_known = loader.max_size < MAX_PER_PAGE
        # The page has room for one more project, so that it shows that there is none.
        end = max(0, page.total)
        page = await loader.load(*best_page(end, min(step.count, end), 0, loader.max_size))
        # Until the size is known, fewer projects than the total says may mean that the page was cut short.
        if page.is_last and (page.is_consistent or is_size_known):
            return dataclasses.replace(_part(step, page, len(page.ids)), has_next=False)
    raise _contradiction(page)


async def _filled(loader: ListLoader, step: Step, part: Paginated) -> Paginated:
    """Load the rest of a step that no page can hold together with the project of the cursor."""
    goes_on = part.has_next if step.is_forward else part.has_previous
    missing = step.count - len(part.rows)
    if not part.rows or not missing or not goes_on or loader.max_size < MAX_PER_PAGE:
        return part
    page, index = part.rows[-1 if step.is_forward else 0]
    cursor = page.cursor(index)
    rest = Step(count=missing, is_forward=step.is_forward, cursor=cursor)
    more = _from_page(rest, cursor, await loader.beside(rest, cursor.position))
    if more is None:
        return part
    if step.is_forward:
        rows, has_next, has_previous = part.rows + more.rows, more.has_next, part.has_previous
    else:
        rows, has_next, has_previous = more.rows + part.rows, part.has_next, more.has_previous
    return Paginated(rows, part.pages + more.pages, has_next, has_previous)


def _contradiction(page: ListPage) -> UpstreamContractError:
    """Return the error of a page whose numbers do not say where the list goes on."""
    found = f"page {page.number} of size {page.size} has {len(page.ids)} projects"
    says = f"says `total` {page.total} and `has_next` {page.has_next}"
    return UpstreamContractError(
        f"The gallery API's numbers contradict each other: {found} and {says}."
        " So the list cannot be shown completely from here.",
        kind="contradiction",
    )
