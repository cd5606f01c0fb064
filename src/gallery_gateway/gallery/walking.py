"""Walks along a list by places that stay what they are while projects come and go.

The endpoint knows page numbers only. Where a project stood is therefore remembered with its id and with the
length of the list; when the list has changed since, the project is looked for where it must be now.
"""

from dataclasses import dataclass

from gallery_gateway.gallery.stretch import ListChangedError, ListReader, Stretch
from gallery_gateway.gallery.windows import MAX_PER_PAGE, without


@dataclass(frozen=True, slots=True)
class Place:
    """Where a project stood in a list.

    Args:
        position: from 0.
        project_id: None where the endpoint did not tell it.
        total: how long the list was; None likewise.
    """

    position: int
    project_id: int | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is wanted: so many projects behind a place, or before it; without one, from an end of the list."""

    count: int
    is_forward: bool
    place: Place | None = None

    def wanted(self, position: int) -> range:
        """The places beside this one."""
        if self.is_forward:
            return range(position + 1, position + 1 + self.count)
        return range(max(0, position - self.count), position)


@dataclass(frozen=True, slots=True)
class Walked:
    """The places that were wanted, in the list as it is now."""

    wanted: range
    stretch: Stretch


async def walk(reader: ListReader, step: Step) -> Walked:
    """The projects that a step leads to, each in its present place.

    Raises:
        GatewayError: upstream gave no page, or the operation asks for too much.
    """
    try:
        return await _walk(reader, step)
    except ListChangedError:
        return await _walk(reader.anew(), step)


async def _walk(reader: ListReader, step: Step) -> Walked:
    if step.place is not None:
        return await _from_place(reader, step, step.place)
    if not step.is_forward:
        return await _from_end(reader, step)
    wanted = step.wanted(-1)
    return Walked(wanted, await reader.read(wanted))


async def _from_end(reader: ListReader, step: Step) -> Walked:
    length = (await reader.thin().read(range(1))).total or 0
    stretch = await reader.read(step.wanted(length) or range(1))
    wanted = step.wanted(length if stretch.total is None else stretch.total)
    return Walked(wanted, await _extended(reader, stretch, wanted))


async def _from_place(reader: ListReader, step: Step, place: Place) -> Walked:
    wanted = step.wanted(place.position)
    # Before the first place there was nothing, but there may be by now.
    stretch = await reader.read(wanted or range(place.position, place.position + 1))
    position = await _position(reader, step, place, stretch)
    if position == place.position:
        return Walked(wanted, stretch)
    wanted = step.wanted(position)
    return Walked(wanted, await _extended(reader, stretch, wanted))


async def _position(reader: ListReader, step: Step, place: Place, stretch: Stretch) -> int:
    """Where the place is now, as far as its project and the length of the list tell."""
    found = stretch.find(place.project_id)
    if found is not None:
        return found
    if place.total is None or stretch.total is None or place.total == stretch.total:
        return place.position
    grown, descends = stretch.total - place.total, reader.request.order == "desc"
    if place.project_id is not None:
        for places in _searched(place.position, grown, stretch.places, descends=descends):
            searched = await reader.thin().read(places, beside=stretch)
            found = searched.find(place.project_id)
            if found is not None:
                return found
    moved = _moved(grown, is_forward=step.is_forward, descends=descends)
    return max(-1 if step.is_forward else 0, place.position + moved)


def _searched(position: int, grown: int, known: range, *, descends: bool) -> list[range]:
    """Where a project may be that is not where it was, nor among the known; the likeliest first.

    What comes, comes first in a descending list, and last in an ascending one; what goes may go anywhere.
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
    """How far a place has moved whose project has gone: rather one project twice than one left out."""
    if is_forward:
        return grown if descends else min(grown, -1)
    return max(grown + 1, 0) if descends else 0


async def _extended(reader: ListReader, stretch: Stretch, wanted: range) -> Stretch:
    """The stretch with what it lacks of the wanted places."""
    last = wanted.stop if stretch.total is None else min(wanted.stop, stretch.total)
    for places in without(range(wanted.start, last), stretch.places):
        stretch = stretch.joined(await reader.read(places, beside=stretch))
    return stretch
