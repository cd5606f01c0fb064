"""The connection as structs, which both ways of execution read: an attribute for each field of the graph."""

from typing import Self

from gallery_gateway.execution.projected import Projected
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.walking import Place, Walked
from gallery_gateway.schema.connection_cursor import encode_cursor, list_hash
from gallery_gateway.upstream.contract import Project


class ProjectEdge(Projected, frozen=True, gc=False):
    """A project in its place; the cursor is made only if it is selected."""

    node: Project
    position: int
    total: int | None
    listed: bytes

    @property
    def cursor(self) -> str:
        # A damaged answer may hold None, or an id of any type.
        project_id = self.node.project_id if isinstance(self.node, Project) else None
        known = project_id if type(project_id) is int else None
        return encode_cursor(Place(self.position, known, self.total), self.listed)


class PageInfo(Projected, frozen=True, gc=False):
    """What lies before and behind the edges."""

    has_next_page: bool
    has_previous_page: bool
    first: ProjectEdge | None
    last: ProjectEdge | None

    @property
    def start_cursor(self) -> str | None:
        return None if self.first is None else self.first.cursor

    @property
    def end_cursor(self) -> str | None:
        return None if self.last is None else self.last.cursor


class ProjectConnection(Projected, frozen=True, gc=False):
    """Edges, and the length of the whole list."""

    edges: list[ProjectEdge]
    page_info: PageInfo
    total_count: int | None

    @property
    def nodes(self) -> list[Project]:
        return [edge.node for edge in self.edges]

    @classmethod
    def of(cls, request: GalleryRequest, walked: Walked) -> Self:
        wanted, stretch = walked.wanted, walked.stretch
        listed, total, projects = list_hash(request), stretch.total, stretch.projects
        edges = [ProjectEdge(projects[at], at, total, listed) for at in wanted if at in projects]
        page_info = PageInfo(
            has_next_page=_has_next(wanted, total, edges),
            has_previous_page=min(wanted.start, wanted.start if total is None else total) > 0,
            first=edges[0] if edges else None,
            last=edges[-1] if edges else None,
        )
        return cls(edges, page_info, total)


def _has_next(wanted: range, total: int | None, edges: list[ProjectEdge]) -> bool:
    if wanted and not edges:
        # There is no cursor to go on from, so it is the end, whatever the total says.
        return False
    return len(edges) == len(wanted) if total is None else wanted.stop < total
