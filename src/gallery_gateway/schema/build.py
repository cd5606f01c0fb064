"""Builds the graph; `Subgraph.sdl` prints it."""

from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from gallery_gateway.schema.context import Info
from gallery_gateway.schema.entities import Subgraph
from gallery_gateway.schema.roots import Query, Subscription
from gallery_gateway.schema.scalars import SCALARS


def build_schema() -> Subgraph:
    # 2.9 is the newest version that all composers support; Strawberry's default is newer.
    config = StrawberryConfig(info_class=Info, scalar_map=SCALARS)
    return Subgraph(Query, subscription=Subscription, config=config, federation_version="2.9")


def executable(schema: Subgraph) -> GraphQLSchema:
    """Return the schema as graphql-core executes it."""
    return schema._schema  # noqa: SLF001  # Strawberry has no public attribute; its version is pinned
