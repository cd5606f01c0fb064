"""The committed schemas are what the code prints, for composers and for clients."""

import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, is_object_type, print_schema, print_type

from gallery_gateway.schema import build

ROOT = Path(__file__).parent.parent.parent
SUBGRAPH = build.build_schema()


@pytest.fixture(scope="module")
def api() -> GraphQLSchema:
    return build_schema(SUBGRAPH.api_sdl())


def test_the_committed_schema_is_what_the_code_prints() -> None:
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8") == SUBGRAPH.sdl


def test_the_committed_schema_for_clients_is_what_the_code_prints() -> None:
    assert (ROOT / "docs" / "api.graphql").read_text(encoding="utf-8") == SUBGRAPH.api_sdl()


def test_the_schema_for_clients_is_the_one_that_is_executed_less_what_is_for_routers(
    api: GraphQLSchema,
) -> None:
    executed = build_schema(print_schema(build.executable(SUBGRAPH)))
    assert executed.query_type
    for name in ("_entities", "_service"):
        del executed.query_type.fields[name]

    assert printed(api) == printed(executed)


def printed(schema: GraphQLSchema) -> dict[str, str]:
    """The types by name, without those of federation."""
    return {
        name: print_type(each) for name, each in schema.type_map.items() if not re.match("_[^_]|link__", name)
    }


def test_the_schema_for_clients_has_no_directive_of_federation(api: GraphQLSchema) -> None:
    named = [directive.name for directive in api.directives]

    assert "semanticNonNull" in named
    assert not {"key", "shareable", "tag", "cost", "listSize", "link"} & set(named)
    assert not [word for word in ("@key", "@tag", "@cost", "_Any") if word in SUBGRAPH.api_sdl()]


def test_lists_of_projects_are_null_only_with_an_error(api: GraphQLSchema) -> None:
    assert is_object_type(api.query_type)
    fields = api.query_type.fields.items()
    marked = {
        name
        for name, field in fields
        if field.ast_node and any(d.name.value == "semanticNonNull" for d in field.ast_node.directives or ())
    }

    assert marked == {"gallery", "projects"}
