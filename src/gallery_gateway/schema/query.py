"""The root fields of the graph."""

import strawberry

from gallery_gateway.schema.roots import GALLERY, NODE, PROJECT, PROJECTS
from gallery_gateway.schema.types import (
    CONNECTION_SIZE,
    UPSTREAM_CALL,
    Gallery,
    Node,
    Project,
    ProjectConnection,
    sized,
)


@strawberry.type
class Query:
    """The root of the graph."""

    gallery = strawberry.field(
        resolver=GALLERY.resolver(),
        graphql_type=Gallery | None,
        description="A page of projects with their images, as the caller may see them.",
        directives=[UPSTREAM_CALL, sized(20, by="perPage", of="projects")],
    )
    projects = strawberry.field(
        resolver=PROJECTS.resolver(),
        graphql_type=ProjectConnection | None,
        description=(
            "The projects by cursors (Relay's Cursor Connections Specification): forward with `first` and"
            " `after`, backward with `last` and `before`. A walk finds each project once, also while others"
            " come and go; `gallery` has page numbers."
        ),
        directives=[UPSTREAM_CALL, CONNECTION_SIZE],
    )
    project = strawberry.field(
        resolver=PROJECT.resolver(),
        graphql_type=Project | None,
        description="One project; null if there is none of this number that the caller may see.",
        directives=[UPSTREAM_CALL],
    )
    node = strawberry.field(
        resolver=NODE.resolver(),
        graphql_type=Node | None,
        description="The object with this id; null if there is none that the caller may see.",
        directives=[UPSTREAM_CALL],
    )
