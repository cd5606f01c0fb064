"""The connection's types as clients see them: Relay's Cursor Connections Specification."""

import strawberry
from strawberry import federation

from gallery_gateway.schema.types import Project


@federation.type(description="A project, and where it stands.", shareable=True)
class ProjectEdge:
    """`connection_structs.ProjectEdge`."""

    cursor: str = strawberry.field(
        description="Where the project stands: for `after` and `before`, with the same filters and order."
    )
    node: Project = strawberry.field(description="The project.")


@federation.type(description="What lies before and behind the edges.", shareable=True)
class PageInfo:
    """`connection_structs.PageInfo`."""

    has_next_page: bool = strawberry.field(description="Whether projects follow.")
    has_previous_page: bool = strawberry.field(description="Whether projects come before.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first edge; null if there is none."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last edge; null if there is none."
    )


@federation.type(
    description="Some projects out of a list, by cursors that hold while the list changes.", shareable=True
)
class ProjectConnection:
    """`connection_structs.ProjectConnection`."""

    edges: list[ProjectEdge] = strawberry.field(description="The projects, each with its cursor.")
    nodes: list[Project] = strawberry.field(description="The projects without their cursors.")
    page_info: PageInfo = strawberry.field(description="What lies before and behind.")
    total_count: int = strawberry.field(description="How many projects the whole list has.")
