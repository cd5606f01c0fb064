"""The structs that a connection of projects is projected from."""

from typing import Self

from gallery_gateway.gallery.pagination import ListPage, Paginated
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.structs import AliasedSource
from gallery_gateway.upstream.contract import UpstreamProject


class EdgeSource(AliasedSource, frozen=True, gc=False):
    """A project by its index in a page; its cursor is only made if it is selected."""

    page: ListPage
    index: int
    listed: bytes

    @property
    def node(self) -> UpstreamProject:
        return self.page.projects[self.index]

    @property
    def cursor(self) -> str:
        return encode_cursor(self.page.cursor(self.index), self.listed)


class PageInfoSource(AliasedSource, frozen=True, gc=False):
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


class ConnectionSource(AliasedSource, frozen=True, gc=False):
    """Edges, and the length of the complete list."""

    edges: list[EdgeSource]
    page_info: PageInfoSource
    total_count: int | None

    @property
    def nodes(self) -> list[UpstreamProject]:
        return [edge.node for edge in self.edges]

    @classmethod
    def of(cls, request: GalleryRequest, paginated: Paginated) -> Self:
        listed = list_hash(request)
        edges = [EdgeSource(page, index, listed) for page, index in paginated.rows]
        page_info = PageInfoSource(
            has_next_page=paginated.has_next,
            has_previous_page=paginated.has_previous,
            first=edges[0] if edges else None,
            last=edges[-1] if edges else None,
        )
        return cls(edges, page_info, paginated.total)
