"""From the connection's arguments to its struct; both ways of execution load it here."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.execution.plan import Plan
from gallery_gateway.execution.selection import Selection
from gallery_gateway.gallery.delivery import Delivery, Kept
from gallery_gateway.gallery.loaders import GalleryLoaders
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.stale import Staleness, oldest
from gallery_gateway.gallery.stretch import ListReader
from gallery_gateway.gallery.walking import Step, Walked, walk
from gallery_gateway.schema.arguments import check_range, given
from gallery_gateway.schema.connection_cursor import decode_cursor, list_hash
from gallery_gateway.schema.connection_structs import ProjectConnection
from gallery_gateway.schema.demands import connection_demand
from gallery_gateway.schema.requests import gallery_request
from gallery_gateway.upstream.contract import Page

DEFAULT_COUNT = 20
MAX_COUNT = 100


@dataclass(frozen=True, slots=True)
class ConnectionRequest:
    """A list, and the step in it; the list's own page number and size mean nothing."""

    listed: GalleryRequest
    step: Step


def connection_request(
    *,
    order: Enum,
    sort_by: Enum,
    max_images_per_project: int,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    project_id: int | None = None,
    status: str | None = None,
    feedback: Sequence[str] | None = None,
    ownership: Enum | None = None,
    search: str | None = None,
) -> ConnectionRequest:
    """Raises: BadUserInputError: an argument is out of its range, or does not go with another."""
    listed = gallery_request(
        page=1,
        per_page=1,
        order=order,
        project_id=project_id,
        status=status,
        feedback=feedback,
        sort_by=sort_by,
        ownership=ownership,
        max_images_per_project=max_images_per_project,
        search=search,
    )
    return ConnectionRequest(listed, _step(listed, given(first), given(after), given(last), given(before)))


def _step(
    listed: GalleryRequest, first: int | None, after: str | None, last: int | None, before: str | None
) -> Step:
    is_forward = last is None and before is None
    if not is_forward and (first is not None or after is not None):
        argument = "last" if last is not None else "before"
        message = f"`{argument}` does not go with `{'first' if first is not None else 'after'}`."
        raise BadUserInputError(
            f"{message} Give `first` and `after`, or `last` and `before`.", argument=argument
        )
    count_name, count = ("first", first) if is_forward else ("last", last)
    cursor_name, cursor = ("after", after) if is_forward else ("before", before)
    count = DEFAULT_COUNT if count is None else count
    check_range(count_name, count, least=1, most=MAX_COUNT)
    place = None if cursor is None else decode_cursor(cursor_name, cursor, list_hash(listed))
    return Step(count=count, is_forward=is_forward, place=place)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection, and who keeps what it is written as.

    Args:
        source: the one page that it stands on whole; None if it was put together from several calls.
        wanted: its places.
        staleness: of the oldest page past its freshness; None if all were fresh.
    """

    value: ProjectConnection
    source: Delivery[Page] | None
    wanted: range
    loaders: GalleryLoaders
    staleness: Staleness | None

    def recall(self, plan: Plan) -> bytes | None:
        return None if self.source is None else self.source.recall((plan, self.wanted))

    def remember(self, plan: Plan, rendered: bytes) -> None:
        if self.source is not None:
            self.loaders.remember(self.source, (plan, self.wanted), rendered)

    def kept(self, plan: Plan) -> Kept | None:
        return None if self.source is None else self.loaders.kept(self.source, (plan, self.wanted))


async def load_connection(
    loaders: GalleryLoaders, request: ConnectionRequest, selection: Selection
) -> Connected:
    """Raises: GatewayError: upstream gave no page, or the operation asks for too much."""
    walked = await _walked(loaders, request, selection)
    deliveries = walked.stretch.deliveries
    return Connected(
        ProjectConnection.of(request.listed, walked),
        deliveries[0] if len(deliveries) == 1 else None,
        walked.wanted,
        loaders,
        oldest(delivery.staleness for delivery in deliveries),
    )


async def _walked(loaders: GalleryLoaders, request: ConnectionRequest, selection: Selection) -> Walked:
    reader = ListReader(loaders=loaders, request=request.listed, demand=connection_demand(selection))
    if selection.has_any("edges", "nodes", "pageInfo"):
        return await walk(reader, request.step)
    # The total stands on every page, so the smallest will do.
    return Walked(range(0), await reader.thin().read(range(1)))
