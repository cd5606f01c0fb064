"""The root fields of the graph."""

import strawberry

from gallery_gateway.schema.entities import Entity, describe_service, load_entities
from gallery_gateway.schema.roots import GALLERY, NODE, PROJECT, PROJECTS
from gallery_gateway.schema.types import (
    CONNECTION_SIZE,
    UPSTREAM_CALL,
    GalleryPage,
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
        graphql_type=GalleryPage | None,
        description="A page of the projects that the caller may see, with their images.",
        directives=[UPSTREAM_CALL, sized(20, by="perPage", of="projects")],
    )
    projects = strawberry.field(
        resolver=PROJECTS.resolver(),
        graphql_type=ProjectConnection | None,
        description=(
            "The projects that the caller may see, with cursors (Relay's Cursor Connections Specification):"
            " forward with `first` and `after`, backward with `last` and `before`. For page numbers, use"
            " `gallery`."
        ),
        directives=[UPSTREAM_CALL, CONNECTION_SIZE],
    )
    project = strawberry.field(
        resolver=PROJECT.resolver(),
        graphql_type=Project | None,
        description="One project; null if it does not exist or the caller may not see it.",
        directives=[UPSTREAM_CALL],
    )
    node = strawberry.field(
        resolver=NODE.resolver(),
        graphql_type=Node | None,
        description="The project with this id; null if it does not exist or the caller may not see it.",
        directives=[UPSTREAM_CALL],
    )
    entities = strawberry.field(
        name="_entities",
        resolver=load_entities,
        graphql_type=list[Entity | None],
        description="For federation routers: the entities of the representations, in the same order.",
    )
    service = strawberry.field(
        name="_service",
        resolver=describe_service,
        description="For federation composers: this subgraph.",
    )
