"""Puts the graph together, and prints it."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from gallery_gateway.schema.context import Info
from gallery_gateway.schema.query import Query


def build_schema() -> strawberry.Schema:
    return strawberry.Schema(query=Query, config=StrawberryConfig(info_class=Info))


def executable(schema: strawberry.Schema) -> GraphQLSchema:
    """graphql-core's side of the schema, which operations are run on."""
    return schema._schema  # noqa: SLF001  # there is no public way to it; pinned for that reason


def print_schema(schema: strawberry.Schema) -> str:
    """The SDL as it is committed in `schema.graphql`."""
    return schema.as_str() + "\n"
