"""Puts the graph together, and prints it."""

from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from gallery_gateway.schema.context import Info, Subgraph
from gallery_gateway.schema.entities import SubgraphQuery


def build_schema() -> Subgraph:
    config = StrawberryConfig(info_class=Info)
    return Subgraph(SubgraphQuery, config)


def executable(schema: Subgraph) -> GraphQLSchema:
    """graphql-core's side of the schema, which operations are run on."""
    return schema._schema  # noqa: SLF001  # there is no public way to it; pinned for that reason


def print_schema(schema: Subgraph) -> str:
    """The SDL as it is committed in `schema.graphql`."""
    return schema.sdl
