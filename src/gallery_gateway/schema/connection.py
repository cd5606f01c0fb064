"""The connection of projects: its cursors, its structs, and how it is loaded."""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from strawberry import UNSET

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.execution.plan import Plan
from gallery_gateway.gallery.gallery import CachedResponse, LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import FieldNeeds, Staleness, oldest
from gallery_gateway.gallery.pagination import THIN, CursorPosition, ListReader, Step, Walked, walk
from gallery_gateway.gallery.request import GalleryRequest, project_order
from gallery_gateway.schema.requests import (
    AfterArgument,
    BeforeArgument,
    FeedbackArgument,
    FirstArgument,
    ImageSort,
    LastArgument,
    MaxImagesArgument,
    OrderArgument,
    OwnershipArgument,
    ProjectIdArgument,
    SearchArgument,
    SortByArgument,
    SortOrder,
    StatusArgument,
    check_range,
    gallery_request,
    given,
)
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.upstream.contract import Page, UpstreamProject

# Position, total and id of the project, the list, and the checksum of all of these.
_PLACE = struct.Struct(">IIq6s")
_CHECKSUM = struct.Struct(">I")
_LIST_BYTES = 6

_UNKNOWN_TOTAL = 2**32 - 1
_UNKNOWN_ID = -1
_LAST_POSITION = 2**31 - 1

_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def list_hash(request: GalleryRequest) -> bytes:
    """What tells lists apart: all that decides which projects there are, and in which order."""
    return hashlib.blake2b(repr(project_order(request)).encode(), digest_size=_LIST_BYTES).digest()


def encode_cursor(place: CursorPosition, listed: bytes) -> str:
    total = _UNKNOWN_TOTAL if place.total is None else min(max(place.total, 0), _UNKNOWN_TOTAL)
    project_id = place.project_id
    if project_id is None or not 0 <= project_id < 2**63:
        project_id = _UNKNOWN_ID
    packed = _PLACE.pack(min(place.position, _LAST_POSITION), total, project_id, listed)
    encoded = binascii.b2a_base64(packed + _CHECKSUM.pack(binascii.crc32(packed)), newline=False)
    return encoded.translate(_URL_ALPHABET, b"=").decode("ascii")


def decode_cursor(argument: str, cursor: str, listed: bytes) -> CursorPosition:
    """Raises: BadUserInputError: no cursor of ours, or one of another list."""
    packed = _checked(cursor)
    if packed is None:
        raise BadUserInputError(f"`{argument}` is no cursor of this graph.", argument=argument)
    position, total, project_id, its_list = _PLACE.unpack(packed)
    if its_list != listed:
        message = f"`{argument}` is a cursor of another list: the filters and the order must stay the same."
        raise BadUserInputError(message, argument=argument)
    return CursorPosition(
        position,
        None if project_id == _UNKNOWN_ID else project_id,
        None if total == _UNKNOWN_TOTAL else total,
    )


def _checked(cursor: str) -> bytes | None:
    """What was packed; None unless it is in our own spelling, whole, and as it was."""
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (UnicodeError, binascii.Error):
        return None
    packed, checksum = decoded[: _PLACE.size], decoded[_PLACE.size :]
    if checksum != _CHECKSUM.pack(binascii.crc32(packed)):
        return None
    spelled = base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii")
    return packed if spelled == cursor and _PLACE.unpack(packed)[0] <= _LAST_POSITION else None


class EdgeSource(ProjectionSource, frozen=True, gc=False):
    """A project in its place; the cursor is made only if it is selected."""

    node: UpstreamProject
    position: int
    total: int | None
    listed: bytes

    @property
    def cursor(self) -> str:
        # A damaged answer may hold None, or an id of any type.
        project_id = self.node.project_id if isinstance(self.node, UpstreamProject) else None
        known = project_id if type(project_id) is int else None
        return encode_cursor(CursorPosition(self.position, known, self.total), self.listed)


class PageInfoSource(ProjectionSource, frozen=True, gc=False):
    """What lies before and behind the edges."""

    has_next_page: bool
    has_previous_page: bool
    first: EdgeSource | None
    last: EdgeSource | None

    @property
    def start_cursor(self) -> str | None:
        return None if self.first is None else self.first.cursor

    @property
    def end_cursor(self) -> str | None:
        return None if self.last is None else self.last.cursor


class ConnectionSource(ProjectionSource, frozen=True, gc=False):
    """Edges, and the length of the whole list."""

    edges: list[EdgeSource]
    page_info: PageInfoSource
    total_count: int | None

    @property
    def nodes(self) -> list[UpstreamProject]:
        return [edge.node for edge in self.edges]

    @classmethod
    def of(cls, request: GalleryRequest, walked: Walked) -> Self:
        wanted, project_range = walked.wanted, walked.project_range
        listed, total, projects = list_hash(request), project_range.total, project_range.projects
        edges = [EdgeSource(projects[at], at, total, listed) for at in wanted if at in projects]
        page_info = PageInfoSource(
            has_next_page=_has_next(wanted, total, edges),
            has_previous_page=min(wanted.start, wanted.start if total is None else total) > 0,
            first=edges[0] if edges else None,
            last=edges[-1] if edges else None,
        )
        return cls(edges, page_info, total)


def _has_next(wanted: range, total: int | None, edges: list[EdgeSource]) -> bool:
    if wanted and not edges:
        # There is no cursor to go on from, so it is the end, whatever the total says.
        return False
    return len(edges) == len(wanted) if total is None else wanted.stop < total


DEFAULT_COUNT = 20
MAX_COUNT = 100


@dataclass(frozen=True, slots=True)
class ConnectionRequest:
    """A list, and the step in it; the list's own page number and size mean nothing."""

    listed: GalleryRequest
    step: Step


def connection_request(
    *,
    first: FirstArgument = UNSET,
    after: AfterArgument = UNSET,
    last: LastArgument = UNSET,
    before: BeforeArgument = UNSET,
    order: OrderArgument = SortOrder.DESC,
    project_id: ProjectIdArgument = UNSET,
    status: StatusArgument = UNSET,
    feedback: FeedbackArgument = UNSET,
    sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
    ownership: OwnershipArgument = UNSET,
    max_images_per_project: MaxImagesArgument = 50,
    search: SearchArgument = UNSET,
) -> ConnectionRequest:
    """Raises: BadUserInputError: an argument is out of its range, or does not go with another."""
    listed = gallery_request(
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
class LoadedConnection:
    """A connection, and the loaders that keep its rendered bytes.

    Args:
        source: the only page that it was made of; `None` if there were several.
        wanted: its positions in the list.
        staleness: of the oldest stale page.
    """

    value: ConnectionSource
    source: LoadResult[Page] | None
    wanted: range
    loaders: GalleryLoader
    staleness: Staleness | None

    @property
    def complete(self) -> ConnectionSource:
        return self.value

    def recall(self, plan: Plan) -> bytes | None:
        return None if self.source is None else self.source.recall((plan, self.wanted))

    def remember(self, plan: Plan, rendered: bytes) -> None:
        if self.source is not None:
            self.loaders.remember(self.source, (plan, self.wanted), rendered)

    def kept(self, plan: Plan) -> CachedResponse | None:
        return None if self.source is None else self.loaders.replayable(self.source, (plan, self.wanted))


async def load_connection(
    loaders: GalleryLoader, request: ConnectionRequest, needs: FieldNeeds | None
) -> LoadedConnection:
    """Load the projects of a step, or the total alone if `needs` is `None`.

    Raises:
        GatewayError: an upstream call failed, or the operation asks for too much.
    """
    reader = ListReader(loaders=loaders, request=request.listed, needs=needs or THIN)
    # Every page has the total, so the smallest will do.
    walked = await walk(reader, request.step) if needs else Walked(range(0), await reader.read(range(1)))
    results = walked.project_range.results
    return LoadedConnection(
        ConnectionSource.of(request.listed, walked),
        results[0] if len(results) == 1 else None,
        walked.wanted,
        loaders,
        oldest(result.staleness for result in results),
    )
