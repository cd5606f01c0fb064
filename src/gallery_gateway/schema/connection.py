"""The structs that a connection of projects is projected from."""

from typing import Self

from gallery_gateway.gallery.pagination import CursorPosition, Paginated
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.upstream.contract import UpstreamProject


class EdgeSource(ProjectionSource, frozen=True, gc=False):
    """A project at its position in the list; its cursor is only made if it is selected."""

    node: UpstreamProject
    position: int
    total: int | None
    listed: bytes

    @property
    def cursor(self) -> str:
        # A damaged page may hold None, or an id of any type.
        project_id = getattr(self.node, "project_id", None)
        valid_id = project_id if type(project_id) is int else None
        return encode_cursor(CursorPosition(self.position, valid_id, self.total), self.listed)


class PageInfoSource(ProjectionSource, frozen=True, gc=False):
    """What is before and after the edges."""

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
    """Edges, and the length of the complete list."""

    edges: list[EdgeSource]
    page_info: PageInfoSource
    total_count: int | None

    @property
    def nodes(self) -> list[UpstreamProject]:
        return [edge.node for edge in self.edges]

    @classmethod
    def of(cls, request: GalleryRequest, paginated: Paginated) -> Self:
        wanted, project_range = paginated.wanted, paginated.project_range
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
        # Without a cursor a client cannot go on, so the list ends here in spite of the total.
        return False
    return len(edges) == len(wanted) if total is None else wanted.stop < total
